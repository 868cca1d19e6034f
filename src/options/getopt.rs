//! Finds the options of a command line as getopt_long(3) does, or getopt(3) if no option has a long name.
//!
//! Command lines of fifteen years keep their meaning: options end at the first word that is none, share a
//! word (`-cv`), can be abbreviated (`--verb`), and act in their order. clap differs in each of these points,
//! so it only lays out the help.

use super::table::Row;
use crate::sys::arguments::Arg;

/// Reads options one by one.
pub(crate) struct Reader<'w> {
    rows: &'static [Row],
    /// Whether options may follow words of the command.
    permutes: bool,
    /// The words after the current one.
    rest: &'w [Arg],
    /// The unread letters of the current word.
    cluster: &'static [u8],
    /// The words of the command before `rest`.
    command: Vec<Arg>,
}

/// An option and its value.
pub(crate) type Found = (&'static Row, &'static [u8]);

impl<'w> Reader<'w> {
    /// Takes the command line without the name of the program.
    pub(crate) fn new(rows: &'static [Row], words: &'w [Arg], permutes: bool) -> Self {
        Self { rows, permutes, rest: words, cluster: &[], command: Vec::new() }
    }

    /// Returns the next option, or `None` at the end. An error is getopt's message without its first word.
    pub(crate) fn next_option(&mut self) -> Result<Option<Found>, Vec<u8>> {
        let has_long_names = self.rows.iter().any(|row| row.long.is_some());
        while self.cluster.is_empty() {
            let Some((word, rest)) = self.rest.split_first() else { return Ok(None) };
            match word.to_bytes() {
                b"--" => {
                    self.rest = rest;
                    return Ok(None);
                }
                option @ [b'-', b'-', ..] if has_long_names => {
                    self.rest = rest;
                    return self.long(option).map(Some);
                }
                [b'-', letters @ ..] if !letters.is_empty() => {
                    self.rest = rest;
                    self.cluster = letters;
                }
                _ if self.permutes => {
                    self.rest = rest;
                    self.command.push(word);
                }
                _ => return Ok(None),
            }
        }
        self.short().map(Some)
    }

    /// Returns the words that are no options.
    pub(crate) fn into_command(mut self) -> Vec<Arg> {
        self.command.extend_from_slice(self.rest);
        self.command
    }

    fn long(&mut self, option: &'static [u8]) -> Result<Found, Vec<u8>> {
        let mut halves = option.splitn(2, |&byte| byte == b'=');
        let name = halves.next().unwrap_or_default();
        let attached = halves.next();
        let row = self.find(name, option)?;
        let long = row.long.unwrap_or_default();
        if row.value_name.is_none() && attached.is_some() {
            return Err(format!("option '{long}' doesn't allow an argument").into());
        }
        let value = self.value(row, attached);
        Ok((row, value.ok_or_else(|| format!("option '{long}' requires an argument"))?))
    }

    fn short(&mut self) -> Result<Found, Vec<u8>> {
        let Some((&letter, rest)) = self.cluster.split_first() else { return Err(Vec::new()) };
        let quoted = |text: &str| [text.as_bytes(), b" -- '", &[letter], b"'"].concat();
        let has_letter = |row: &&Row| row.short.is_some_and(|short| short.as_bytes() == [b'-', letter]);
        let row = self.rows.iter().find(has_letter).ok_or_else(|| quoted("invalid option"))?;
        let takes_rest = row.value_name.is_some();
        self.cluster = if takes_rest { &[] } else { rest };
        let value = self.value(row, Some(rest).filter(|rest| takes_rest && !rest.is_empty()));
        Ok((row, value.ok_or_else(|| quoted("option requires an argument"))?))
    }

    fn find(&self, name: &[u8], option: &[u8]) -> Result<&'static Row, Vec<u8>> {
        if let Some(row) = self.rows.iter().find(|row| row.long.map(str::as_bytes) == Some(name)) {
            return Ok(row);
        }
        let begins = |row: &&Row| {
            row.can_be_abbreviated && row.long.is_some_and(|long| long.as_bytes().starts_with(name))
        };
        let matching: Vec<&Row> = self.rows.iter().filter(begins).collect();
        match matching.as_slice() {
            [] => Err([b"unrecognized option '", option, b"'"].concat()),
            [row] => Ok(row),
            several => {
                let names = several.iter().filter_map(|row| row.long).map(|long| format!(" '{long}'"));
                let names: String = names.collect();
                Err([b"option '", option, b"' is ambiguous; possibilities:", names.as_bytes()].concat())
            }
        }
    }

    /// Returns the value of an option: attached to it, implied, or the next word. `None` if there is none.
    fn value(&mut self, row: &Row, attached: Option<&'static [u8]>) -> Option<&'static [u8]> {
        attached.or(row.implied_value.map(str::as_bytes)).or_else(|| {
            let (word, rest) = self.rest.split_first()?;
            self.rest = rest;
            Some(word.to_bytes())
        })
    }
}
