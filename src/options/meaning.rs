//! What do the options say that clap has read?
//!
//! Their values, from bytes to what they mean, and what is wrong with one.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

use clap::ArgMatches;
use clap::parser::ValuesRef;

use super::table::{
    DASH_C, DELAY, DRAIN, EXIT_MAP, EXPLAIN, FORWARD, KILL_AFTER, LINGER, PARENT_DEATH_SIGNAL, PID, REWRITE,
    SINGLE_CHILD, SPLIT_STRING, SUBREAPER, VERBOSE,
};
use super::value::{Value, parse_list, refusal};
use super::{Options, Question};
use crate::log::Verbosity;
use crate::options::forward::Forward;
use crate::signal::Signum;
use crate::signal::rewrite::Rewrite;
use crate::sys::arguments::Arg;

pub(super) enum BadValue {
    /// The original's text stands for it.
    OfRewrite,
    Other(Vec<u8>),
}

/// The values of an option, none where the table doesn't have it.
fn values_of<'a>(matches: &'a ArgMatches, name: &str) -> ValuesRef<'a, OsString> {
    matches.try_get_many(name).ok().flatten().unwrap_or_default()
}

pub(super) fn is_set(matches: &ArgMatches, name: &str) -> bool {
    matches.try_get_one(name).is_ok_and(|flag| flag == Some(&true))
}

pub(super) fn read(matches: &ArgMatches) -> Result<Options, BadValue> {
    let given = |name: &str| values_of(matches, name);
    if given(SPLIT_STRING).next().is_some() {
        return Err(BadValue::Other(b"option '--split-string' must be the first one".into()));
    }
    let rewrites: Vec<&[u8]> = given(REWRITE).map(|value| value.as_bytes()).collect();
    let rewrites_with_trailing_text =
        rewrites.iter().filter(|text| Rewrite::has_trailing_text(text)).map(|text| text.to_vec()).collect();
    let rewrites: Option<Vec<Rewrite>> = rewrites.into_iter().map(Rewrite::parse).collect();
    let switch = |name: &str| is_set(matches, name).then_some(true);
    Ok(Options {
        forward: forward(matches)?,
        verbosity: match matches.get_count(VERBOSE) {
            0 => None,
            1 => Some(Verbosity::Debug),
            _ => Some(Verbosity::Trace),
        },
        rewrites: Some(rewrites.ok_or(BadValue::OfRewrite)?).filter(|rewrites| !rewrites.is_empty()),
        rewrites_with_trailing_text,
        drain: one(matches, DRAIN)?,
        linger: switch(LINGER),
        kill_after: one(matches, KILL_AFTER)?,
        delays: several(matches, DELAY)?,
        exit_rules: several(matches, EXIT_MAP)?,
        parent_death_signal: one(matches, PARENT_DEATH_SIGNAL)?,
        subreaper: switch(SUBREAPER),
        ..Options::default()
    })
}

/// Who gets a signal, as the last one of two options has it, and which one that is.
fn forward(matches: &ArgMatches) -> Result<Option<(Forward, &'static str)>, BadValue> {
    let single_child = is_set(matches, SINGLE_CHILD).then_some((Forward::Child, DASH_C));
    let Some(forward) = one(matches, FORWARD)? else { return Ok(single_child) };
    let last = |name| matches.indices_of(name).and_then(Iterator::max);
    let is_last = last(FORWARD) > last(SINGLE_CHILD);
    Ok(single_child.filter(|_| !is_last).or(Some((forward, "--forward"))))
}

/// What is to be explained, if anything is. `given` has the options as `getopt` writes them.
pub(super) fn question(
    matches: &ArgMatches,
    given: &[OsString],
    command: &[Arg],
) -> Result<Option<Question>, BadValue> {
    let signum = one(matches, EXPLAIN)?;
    let init = one(matches, PID)?;
    let refused = |text: &str| Err(BadValue::Other(text.into()));
    let Some(signum) = signum else {
        return if init.is_some() { refused("option '--pid' goes with '--explain'") } else { Ok(None) };
    };
    let names = [EXPLAIN, PID].map(|name| format!("--{name}"));
    let is_one_of_them = |option: &OsString| {
        option
            .as_bytes()
            .split(|&byte| byte == b'=')
            .next()
            .is_some_and(|name| names.iter().any(|known| known.as_bytes() == name))
    };
    if !given.iter().all(is_one_of_them) {
        return refused("option '--explain' goes with no other option than '--pid'");
    }
    match command {
        [] => Ok(Some(Question { signum, init })),
        [word, ..] if Signum::parse(word.to_bytes()).is_some() => {
            refused("option '--explain' takes its signal as in '--explain=TERM'")
        }
        [..] => refused("option '--explain' takes no command"),
    }
}

/// The value of an option; the last one, where there are several.
fn one<V: Value>(matches: &ArgMatches, name: &str) -> Result<Option<V>, BadValue> {
    values_of(matches, name)
        .map(|text| V::parse(text.as_bytes()).ok_or_else(|| bad::<V>(name, text)))
        .try_fold(None, |_, value| value.map(Some))
}

/// The values of an option that can be repeated.
fn several<V: Value>(matches: &ArgMatches, name: &str) -> Result<Option<Vec<V>>, BadValue> {
    let texts = values_of(matches, name);
    if texts.len() == 0 {
        return Ok(None);
    }
    let lists: Result<Vec<Vec<V>>, BadValue> =
        texts.map(|text| parse_list(text.as_bytes()).ok_or_else(|| bad::<V>(name, text))).collect();
    Ok(Some(lists?.into_iter().flatten().collect()))
}

fn bad<V: Value>(name: &str, text: &OsString) -> BadValue {
    BadValue::Other(refusal(&format!("option '--{name}'"), V::IS, text.as_bytes()))
}
