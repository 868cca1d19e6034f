//! In which dialect are options written?
//!
//! In getopt_long(3)'s, since command lines of fifteen years are to mean what they meant: options end at the first word that
//! is none (or stand anywhere, as a [`Dialect`] has it), they may be clustered (`-cv`) and abbreviated (`--verb`), `-r=1` has the value `=1`, words are
//! bytes, and what stands first takes effect first, errors included. clap speaks another dialect in each of these points,
//! so this module finds the options, one by one, as a table of them defines them. What an option is, and what is made of
//! it, stays with clap (see `cli`). A dialect without long names is getopt(3)'s.

use std::ffi::{CStr, OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

/// How the options of a program are written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dialect<'a> {
    pub(crate) specs: &'a [Spec<'a>],
    pub(crate) order: Order,
}

/// Where do options stand?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// In front of the first word that is not an option.
    InFront,
    /// Anywhere in front of `--`, also behind words of the command.
    Anywhere,
}

/// What is to be known of an option for finding its end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spec<'a> {
    /// Where no option of a dialect has a long name, two dashes are a cluster of letters like any other: getopt(3).
    pub(crate) long: Option<&'a str>,
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

/// The options of a command line, and the words that are none.
#[derive(Debug)]
pub(crate) struct Reading<'a> {
    pub(crate) options: Vec<Given<'a>>,
    /// The indices of the command's words, as far as they were looked for.
    pub(crate) command: Vec<usize>,
    pub(crate) end: End,
}

/// An option of a command line.
#[derive(Clone, Debug)]
pub(crate) struct Given<'a> {
    pub(crate) spec: Spec<'a>,
    pub(crate) value: Option<OsString>,
}

/// Why no further option was read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// There is none.
    Command,
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

/// Reads the options of `words`, the command line without the name of the program.
pub(crate) fn read<'a, W: AsRef<CStr>>(dialect: Dialect<'a>, words: &[W]) -> Reading<'a> {
    let mut reader = Reader { dialect, words, next: 0, options: Vec::new(), command: Vec::new() };
    let end = reader.read().unwrap_or_else(End::Error);
    Reading { options: reader.options, command: reader.command, end }
}

struct Reader<'a, 'w, W> {
    dialect: Dialect<'a>,
    words: &'w [W],
    /// The index of the first word that hasn't been looked at.
    next: usize,
    options: Vec<Given<'a>>,
    command: Vec<usize>,
}

impl<'a, 'w, W: AsRef<CStr>> Reader<'a, 'w, W> {
    fn read(&mut self) -> Result<End, Error> {
        let has_long_ones = self.dialect.specs.iter().any(|spec| spec.long.is_some());
        loop {
            let index = self.next;
            let effect = match self.next_word() {
                Some(b"--") => return Ok(self.end_at(self.next)),
                Some(word @ [b'-', b'-', option @ ..]) if has_long_ones => self.long(word, option)?,
                Some([b'-', letters @ ..]) if !letters.is_empty() => self.cluster(letters)?,
                Some(_) if self.dialect.order == Order::Anywhere => {
                    self.command.push(index);
                    continue;
                }
                Some(_) | None => return Ok(self.end_at(index)),
            };
            match effect {
                Effect::AtOnce => return Ok(End::AtOnce),
                Effect::AtTheEnd => {}
            }
        }
    }

    /// All words from this one on are the command's.
    fn end_at(&mut self, index: usize) -> End {
        self.command.extend(index..self.words.len());
        End::Command
    }

    fn next_word(&mut self) -> Option<&'w [u8]> {
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
        let long = || spec.long.unwrap_or_default().to_owned();
        let value = match (spec.value, attached) {
            (Value::None | Value::Optional, None) => None,
            (Value::None, Some(_)) => return Err(Error::UnwantedValue(long())),
            (Value::Optional | Value::Required, Some(attached)) => Some(attached),
            (Value::Required, None) => Some(self.next_word().ok_or_else(|| Error::MissingValue(long()))?),
        };
        Ok(self.take(spec, value))
    }

    fn find(&self, name: &[u8], word: &[u8]) -> Result<Spec<'a>, Error> {
        let named = self.dialect.specs.iter().filter_map(|spec| Some((spec.long?, spec)));
        if let Some((_, spec)) = named.clone().find(|(long, _)| long.as_bytes() == name) {
            return Ok(*spec);
        }
        let begins = |(long, spec): &(&str, &Spec<'_>)| {
            spec.spelling == Spelling::Abbreviated && long.as_bytes().starts_with(name)
        };
        let matching: Vec<_> = named.filter(begins).collect();
        match matching.as_slice() {
            [] => Err(Error::Unrecognized(word.to_owned())),
            [(_, spec)] => Ok(**spec),
            several => Err(Error::Ambiguous {
                word: word.to_owned(),
                possibilities: several.iter().map(|(long, _)| (*long).to_owned()).collect(),
            }),
        }
    }

    /// Reads short options, which share a word.
    fn cluster(&mut self, letters: &'w [u8]) -> Result<Effect, Error> {
        let mut rest = letters;
        while let [letter, following @ ..] = rest {
            let is_it = |spec: &&Spec<'_>| spec.short == Some(char::from(*letter));
            let spec = *self.dialect.specs.iter().find(is_it).ok_or(Error::Invalid(*letter))?;
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

    fn take(&mut self, spec: Spec<'a>, value: Option<&[u8]>) -> Effect {
        self.options.push(Given { spec, value: value.map(|value| OsStr::from_bytes(value).to_owned()) });
        spec.effect
    }
}
