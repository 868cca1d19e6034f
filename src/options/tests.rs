use std::ffi::CStr;

use super::*;

fn parsed(words: &[&'static CStr]) -> (Options, Vec<Arg>) {
    match parse(words, |_| None) {
        Ok(Invocation::Run(options, command)) => (options, command),
        Ok(Invocation::Explain(_)) => panic!("explains"),
        Ok(Invocation::Pause(_)) => panic!("pauses"),
        Ok(Invocation::Print(text, _)) => panic!("prints {text}"),
        Err(UsageError(text)) => panic!("{}", String::from_utf8_lossy(&text)),
    }
}

fn printed(words: &[&'static CStr]) -> String {
    match parse(words, |_| None) {
        Ok(Invocation::Print(text, Stream::Stderr)) => text,
        _ => panic!("prints nothing"),
    }
}

#[test]
fn what_is_not_said_stays_open() {
    let (options, command) = parsed(&[c"init", c"a", c"-c"]);
    assert!(options.forward.is_none() && options.verbosity.is_none() && options.rewrites.is_none());
    assert_eq!(command, [c"a", c"-c"]);
    let (options, command) = parsed(&[c"init", c"--", c"-c"]);
    assert!(options.forward.is_none());
    assert_eq!(command, [c"-c"]);
}

#[test]
fn every_spelling_of_an_option_means_the_same() {
    for words in [
        &[c"init", c"-cv", c"-r15:3", c"a"][..],
        &[c"init", c"-cvr15:3", c"a"],
        &[c"init", c"-cvr", c"15:3", c"a"],
        &[c"init", c"-r", c"15:3", c"--sing", c"--verbose", c"--", c"a"],
        &[c"init", c"--rewrite", c"15:3", c"-v", c"-c", c"-c", c"a"],
        &[c"init", c"--rew=15:3", c"--verb", c"--single-child", c"a"],
    ] {
        let (options, command) = parsed(words);
        assert_eq!(options.forward.map(|(forward, _)| forward), Some(Forward::Child), "{words:?}");
        assert_eq!(options.verbosity, Some(Verbosity::Debug), "{words:?}");
        assert_eq!(options.rewrites, Rewrite::parse(b"15:3").map(|rewrite| vec![rewrite]), "{words:?}");
        assert_eq!(command, [c"a"], "{words:?}");
    }
}

#[test]
fn clap_finds_nothing_wrong_with_its_table() {
    all_options().debug_assert();
    options_of_the_original().debug_assert();
}

#[test]
fn the_help_names_every_option() {
    let help = printed(&[c"init", c"-h"]);
    for arg in all_options().get_arguments() {
        let name = arg.get_long().expect("a name");
        assert!(help.contains(&format!("--{name}")), "{name}\n{help}");
    }
}

#[test]
fn without_a_name_of_its_own_it_has_an_empty_one() {
    let Err(UsageError(text)) = parse(&[], |_| None) else { panic!("no command") };
    assert_eq!(text, b"Usage:  [option] program [args]\nTry  --help for full usage.\n");
}
