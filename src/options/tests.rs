use std::ffi::CStr;

use super::forward::Forward;
use super::*;
use crate::log::Verbosity;
use crate::signal::rewrite::Outcome;

fn parse_without_variables(words: &[Arg]) -> Result<Invocation, UsageError> {
    parse(words, &Environment::new(Vec::new()))
}

fn parsed(words: &[&'static CStr]) -> (Config, Vec<Arg>) {
    match parse_without_variables(words) {
        Ok(Invocation::Run(config, command)) => (config, command),
        Err(UsageError(text)) => panic!("{}", String::from_utf8_lossy(&text)),
        _ => panic!("{words:?} run no command"),
    }
}

#[test]
fn words_after_the_first_non_option_belong_to_the_command() {
    for (words, expected) in
        [(&[c"init", c"a", c"-c"][..], &[c"a", c"-c"][..]), (&[c"init", c"--", c"-c"], &[c"-c"])]
    {
        let (config, command) = parsed(words);
        assert_eq!(command, expected);
        assert_eq!((config.forward_source, config.rewrites_source), (Source::Default, Source::Default));
        assert_eq!((config.settings.forward, config.verbosity), (Forward::Group, Verbosity::Quiet));
    }
}

#[test]
fn all_spellings_of_an_option_are_equal() {
    for words in [
        &[c"init", c"-cv", c"-r15:3", c"a"][..],
        &[c"init", c"-cvr15:3", c"a"],
        &[c"init", c"-cvr", c"15:3", c"a"],
        &[c"init", c"-r", c"15:3", c"--sing", c"--verbose", c"--", c"a"],
        &[c"init", c"--rewrite", c"15:3", c"-v", c"-c", c"-c", c"a"],
        &[c"init", c"--rew=15:3", c"--verb", c"--single-child", c"a"],
    ] {
        let (config, command) = parsed(words);
        assert_eq!(config.settings.forward, Forward::Child, "{words:?}");
        assert_eq!(config.verbosity, Verbosity::Debug, "{words:?}");
        let rewritten = config.settings.rewrites.get(Signum::TERM);
        assert_eq!(rewritten, Some(Outcome::Becomes(Signum::QUIT)), "{words:?}");
        assert_eq!(command, [c"a"], "{words:?}");
    }
}

#[test]
fn help_has_every_option_of_each_init() {
    for (program, init) in [
        (c"init", Personality::DumbInit),
        (c"tini", Personality::Tini),
        (c"catatonit", Personality::Catatonit),
    ] {
        let Ok(Invocation::Print { text, .. }) = parse_without_variables(&[program, c"-h"]) else {
            panic!("{program:?} prints no help")
        };
        for row in rows(init) {
            let names = [row.short, row.long, row.variable, row.value_name];
            for name in names.into_iter().flatten() {
                assert!(text.contains(name), "{name}\n{text}");
            }
        }
        assert!(text.lines().all(|line| line.len() <= 80), "{text}");
    }
}

#[test]
fn no_init_has_an_option_twice() {
    for init in [Personality::DumbInit, Personality::Tini, Personality::Catatonit] {
        let mut names: Vec<&str> =
            rows(init).iter().flat_map(|row| [row.short, row.long]).flatten().collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count, "{init:?}");
    }
}

#[test]
fn empty_command_line_has_an_empty_program_name() {
    let Err(UsageError(text)) = parse_without_variables(&[]) else { panic!("no command") };
    assert_eq!(text, b"Usage:  [option] program [args]\nTry  --help for full usage.\n");
}

#[test]
fn refusal_is_one_line_with_any_value() {
    let environment = Environment::new(vec![c"DUMB_INIT_LINGER=a\nb\xff\t\x7f\xc3\xa9\xe2\x80\xae"]);
    let Err(UsageError(text)) = parse(&[c"init", c"a"], &environment) else { panic!("a bad value") };
    let expected =
        b"init: variable DUMB_INIT_LINGER takes 1 or 0, not 'a\\nb\\xff\\t\\u{7f}\xc3\xa9\\u{202e}'\n";
    assert_eq!(text, expected);
}
