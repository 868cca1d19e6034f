//! What is there for each signal?

use super::Signum;

/// A value for some of the signals.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PerSignal<T>([Option<T>; 65]);

impl<T: Copy> PerSignal<T> {
    pub(crate) const NONE: Self = Self([None; 65]);

    /// A signal's place; there always is one.
    pub(crate) fn place(&mut self, signum: Signum) -> Option<&mut Option<T>> {
        self.0.get_mut(usize::from(signum.number()))
    }

    pub(crate) fn get(&self, signum: Signum) -> Option<T> {
        self.0.get(usize::from(signum.number())).copied().flatten()
    }
}
