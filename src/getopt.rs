//! In which dialect are options written?
//!
//! In that of getopt_long(3), since command lines of fifteen years are to mean what they meant: options end at the first
//! word that is none, they may be clustered (`-cv`) and abbreviated (`--verb`), `-r=1` has the value `=1`, words are
//! bytes, and what stands first takes effect first, errors included. clap speaks another dialect in each of these points,
//! so this module translates: it takes the options one by one, as clap's own table of them defines them, and writes each
//! in the one form that both read alike, `--name` or `--name=value`. What an option is, and what is made of it, stays
//! with clap (see `cli`).

use std::ffi::{CStr, OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

/// What is to be known of an option for finding its end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spec<'a> {
    pub(crate) long: &'a str,
    pub(crate) short: Option<char>,
    pub(crate) value: Value,
    pub(crate) effect: Effect,
    pub(crate) spelling: Spelling,
}

/// How much of a long name has to be written?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spelling {
    /// As much as tells it from the others of this kind.
    Abbreviated,
    /// All of it, so that no abbreviation that once meant another option means this one, or becomes ambiguous.
    InFull,
}

/// Does an option take a value?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    None,
    /// `--name` or `--name=value`: the next word is none.
    Optional,
    Required,
}

/// When does an option act?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// When the whole command line has been read.
    AtTheEnd,
    /// At once: the words that follow are never looked at.
    AtOnce,
}

/// The options of a command line, translated, and where they end.
#[derive(Debug)]
pub(crate) struct Translation {
    /// Each as `--name` or `--name=value`.
    pub(crate) options: Vec<OsString>,
    pub(crate) end: End,
}

/// Why no further option was read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The rest is the command; it begins at this index, which is behind the last word where there is none.
    Command(usize),
    /// The last option acts at once.
    AtOnce,
    /// The next option is wrong.
    Error(Error),
}

/// What is wrong with an option. Its text is getopt_long(3)'s.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Error {
    Unrecognized(Vec<u8>),
    Ambiguous { word: Vec<u8>, possibilities: Vec<String> },
    UnwantedValue(String),
    MissingValue(String),
    Invalid(u8),
    MissingValueShort(u8),
}

impl Error {
    /// The line, without its beginning, the name of the program.
    pub(crate) fn text(&self) -> Vec<u8> {
        match self {
            Self::Unrecognized(word) => [b"unrecognized option '", word.as_slice(), b"'"].concat(),
            Self::Ambiguous { word, possibilities } => {
                let names: Vec<String> = possibilities.iter().map(|name| format!(" '--{name}'")).collect();
                let names = names.concat();
                [b"option '", word.as_slice(), b"' is ambiguous; possibilities:", names.as_bytes()].concat()
            }
            Self::UnwantedValue(name) => format!("option '--{name}' doesn't allow an argument").into(),
            Self::MissingValue(name) => format!("option '--{name}' requires an argument").into(),
            Self::Invalid(letter) => [b"invalid option -- '", [*letter].as_slice(), b"'"].concat(),
            Self::MissingValueShort(letter) => {
                [b"option requires an argument -- '", [*letter].as_slice(), b"'"].concat()
            }
        }
    }
}

/// Translates the options of `words`, the command line without the name of the program.
pub(crate) fn translate<W: AsRef<CStr>>(specs: &[Spec<'_>], words: &[W]) -> Translation {
    let mut reader = Reader { specs, words, next: 0, options: Vec::new() };
    let end = reader.read().unwrap_or_else(End::Error);
    Translation { options: reader.options, end }
}

struct Reader<'a, W> {
    specs: &'a [Spec<'a>],
    words: &'a [W],
    /// The index of the first word that hasn't been looked at.
    next: usize,
    options: Vec<OsString>,
}

impl<'a, W: AsRef<CStr>> Reader<'a, W> {
    fn read(&mut self) -> Result<End, Error> {
        loop {
            let command = self.next;
            let effect = match self.next_word() {
                Some(b"--") => return Ok(End::Command(self.next)),
                Some(word @ [b'-', b'-', option @ ..]) => self.long(word, option)?,
                Some([b'-', letters @ ..]) if !letters.is_empty() => self.cluster(letters)?,
                _ => return Ok(End::Command(command)),
            };
            match effect {
                Effect::AtOnce => return Ok(End::AtOnce),
                Effect::AtTheEnd => {}
            }
        }
    }

    fn next_word(&mut self) -> Option<&'a [u8]> {
        let word = self.words.get(self.next)?;
        self.next = self.next.saturating_add(1);
        Some(word.as_ref().to_bytes())
    }

    /// Reads a word that is two dashes and an option.
    fn long(&mut self, word: &[u8], option: &[u8]) -> Result<Effect, Error> {
        let mut halves = option.splitn(2, |&byte| byte == b'=');
        let name = halves.next().unwrap_or_default();
        let attached = halves.next();
        let spec = self.find(name, word)?;
        let value = match (spec.value, attached) {
            (Value::None | Value::Optional, None) => None,
            (Value::None, Some(_)) => return Err(Error::UnwantedValue(spec.long.to_owned())),
            (Value::Optional | Value::Required, Some(attached)) => Some(attached),
            (Value::Required, None) => Some(self.next_word().ok_or_else(|| Error::MissingValue(spec.long.to_owned()))?),
        };
        Ok(self.take(spec, value))
    }

    fn find(&self, name: &[u8], word: &[u8]) -> Result<Spec<'a>, Error> {
        if let Some(spec) = self.specs.iter().find(|spec| spec.long.as_bytes() == name) {
            return Ok(*spec);
        }
        let begins =
            |spec: &&Spec<'_>| spec.spelling == Spelling::Abbreviated && spec.long.as_bytes().starts_with(name);
        let matching: Vec<_> = self.specs.iter().filter(begins).collect();
        match matching.as_slice() {
            [] => Err(Error::Unrecognized(word.to_owned())),
            [spec] => Ok(**spec),
            several => Err(Error::Ambiguous {
                word: word.to_owned(),
                possibilities: several.iter().map(|spec| spec.long.to_owned()).collect(),
            }),
        }
    }

    /// Reads short options, which share a word.
    fn cluster(&mut self, letters: &'a [u8]) -> Result<Effect, Error> {
        let mut rest = letters;
        while let [letter, following @ ..] = rest {
            let is_it = |spec: &&Spec<'_>| spec.short == Some(char::from(*letter));
            let spec = *self.specs.iter().find(is_it).ok_or(Error::Invalid(*letter))?;
            let value = match spec.value {
                Value::None => None,
                Value::Optional => Some(following).filter(|value| !value.is_empty()),
                Value::Required if following.is_empty() => {
                    Some(self.next_word().ok_or(Error::MissingValueShort(*letter))?)
                }
                Value::Required => Some(following),
            };
            rest = if value.is_some() { &[] } else { following };
            match self.take(spec, value) {
                Effect::AtOnce => return Ok(Effect::AtOnce),
                Effect::AtTheEnd => {}
            }
        }
        Ok(Effect::AtTheEnd)
    }

    fn take(&mut self, spec: Spec<'_>, value: Option<&[u8]>) -> Effect {
        let mut option = OsString::from("--");
        option.push(spec.long);
        if let Some(value) = value {
            option.push("=");
            option.push(OsStr::from_bytes(value));
        }
        self.options.push(option);
        spec.effect
    }
}
