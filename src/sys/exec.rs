//! How does a process become the command?

use std::ffi::{CStr, c_char};
use std::marker::PhantomData;
use std::ptr;

use nix::errno::Errno;

/// A vector of C strings as exec wants it. Made before the clone, since the child must not allocate.
pub(crate) struct Vector<'a> {
    pointers: Vec<*const c_char>,
    strings: PhantomData<&'a CStr>,
}

impl<'a> Vector<'a> {
    pub(crate) fn new(strings: impl IntoIterator<Item = &'a CStr>) -> Self {
        let mut pointers: Vec<_> = strings.into_iter().map(CStr::as_ptr).collect();
        pointers.push(ptr::null());
        Self { pointers, strings: PhantomData }
    }

    /// Calls `run` with this vector, in which the string at `index`, if any is named, is another one for that time.
    pub(crate) fn with_other<R>(
        &mut self,
        index: Option<usize>,
        other: &CStr,
        run: impl FnOnce(&mut Self) -> R,
    ) -> R {
        let before = index.and_then(|index| self.replace(index, other.as_ptr()));
        let result = run(self);
        index.zip(before).map(|(index, before)| self.replace(index, before));
        result
    }

    /// Calls `run` with this vector, in which the string at `index` is left out for that time.
    pub(crate) fn without<R>(&mut self, index: usize, run: impl FnOnce(&mut Self) -> R) -> R {
        // The null at the end moves one place forward.
        let rest = self.pointers.len().min(index);
        let (_, end) = self.pointers.split_at_mut(rest);
        let left_out = end.first().copied();
        end.rotate_left(usize::from(end.len() > 1));
        if let [.., last] = end {
            *last = ptr::null();
        }
        let result = run(self);
        let (_, end) = self.pointers.split_at_mut(rest);
        if let [.., last] = end {
            *last = left_out.unwrap_or(ptr::null());
        }
        end.rotate_right(usize::from(end.len() > 1));
        result
    }

    fn replace(&mut self, index: usize, pointer: *const c_char) -> Option<*const c_char> {
        // The null that ends the vector stays.
        let (_null, strings) = self.pointers.split_last_mut()?;
        strings.get_mut(index).map(|place| std::mem::replace(place, pointer))
    }
}

/// execve(2). Returns only where it failed.
pub(crate) fn exec(path: &CStr, argv: &Vector<'_>, environment: &Vector<'_>) -> Errno {
    // SAFETY: all three point to C strings that are borrowed for the call; both vectors end with a null pointer.
    unsafe { libc::execve(path.as_ptr(), argv.pointers.as_ptr(), environment.pointers.as_ptr()) };
    Errno::last()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_string_is_left_out_and_comes_back() {
        let mut vector = Vector::new([c"a", c"b", c"c"]);
        let all = vector.pointers.clone();
        let null = ptr::null();
        for (index, rest) in [
            (0, [all[1], all[2], null, null]),
            (1, [all[0], all[2], null, null]),
            (2, [all[0], all[1], null, null]),
            (3, [all[0], all[1], all[2], null]),
            (4, [all[0], all[1], all[2], null]),
        ] {
            vector.without(index, |vector| assert_eq!(vector.pointers, rest, "{index}"));
            assert_eq!(vector.pointers, all, "{index}");
        }
    }
}
