use super::*;

const INITS: [(&CStr, Personality); 3] =
    [(c"init", Personality::DumbInit), (c"tini", Personality::Tini), (c"catatonit", Personality::Catatonit)];

#[test]
fn help_has_every_option_of_each_init() {
    for (program, init) in INITS {
        let environment = Environment::new(Vec::new());
        let Ok(Invocation::Print { text, .. }) = parse(&[program, c"-h"], &environment) else {
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
    for (_, init) in INITS {
        let mut names: Vec<&str> =
            rows(init).iter().flat_map(|row| [row.short, row.long]).flatten().collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count, "{init:?}");
    }
}
