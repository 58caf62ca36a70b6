use proptest::prelude::*;

use super::*;

#[test]
fn scripts_are_laid_out() {
    for (script, expected) in [
        ("", ""),
        ("\n\n  \n", ""),
        ("let  x=1 ;", "let x = 1;\n"),
        ("#!/usr/bin/env  -S spot run\n\n\nf( 1,2 )", "#!/usr/bin/env  -S spot run\nf(1, 2)\n"),
        ("if(a){b}else if !c {d( )}", "if (a) { b } else if !c { d() }\n"),
        ("let m=#{a:1,\"b\":[1,2 ,3],};", "let m = #{ a: 1, \"b\": [1, 2, 3], };\n"),
        ("x=-1;y=a-1;z=f(-1)* -x;w=!a&&!b", "x = -1; y = a - 1; z = f(-1) * -x; w = !a && !b\n"),
        ("for i in 0 .. n{a . b ?. c [ 0 ] :: d}", "for i in 0..n { a.b?.c[0]::d }\n"),
        ("l.map( |a,b|a|b ).each(||f( ))", "l.map(|a, b| a | b).each(|| f())\n"),
        ("switch x{1=>2,_=>`a ${ b+c }`}", "switch x { 1 => 2, _ => `a ${ b+c }` }\n"),
        ("f(#{\na:1,\n\n\n b : g(\n2\n)\n});", "f(#{\n    a: 1,\n\n    b: g(\n        2\n    )\n});\n"),
        ("let x=a\n.b( )\n.c(|d|{\ne\n});\nf", "let x = a\n    .b()\n    .c(|d| {\n        e\n    });\nf\n"),
        ("let y = a ||\nb\n&& c;\nd", "let y = a ||\n    b\n    && c;\nd\n"),
        ("{\n\n// c  \nf();// d\n\n}", "{\n    // c\n    f(); // d\n}\n"),
        ("let t = `a\n  b`;\n  c", "let t = `a\n  b`;\nc\n"),
        (
            "#{\n  a:  1,\n  long: 2, // x\n b: 3,    // y\n}",
            "#{\n    a:    1,\n    long: 2, // x\n    b:    3, // y\n}\n",
        ),
        ("#{\n  a: 1,\n  long: 2,\n}", "#{\n    a: 1,\n    long: 2,\n}\n"),
        ("fn f(a){\nreturn (a);\n}\n\n\n\nf", "fn f(a) {\n    return (a);\n}\n\nf\n"),
        (
            "let a = if b { c }\n else if d { e }\n   else { f };\nif b {\nc\n}\nelse { d }",
            "let a = if b { c }\n    else if d { e }\n    else { f };\nif b {\n    c\n}\nelse { d }\n",
        ),
        ("a !in b; this.in; x.switch(1)", "a !in b; this.in; x.switch(1)\n"),
    ] {
        let formatted = format(script);
        assert_eq!(formatted, expected, "{script}");
        assert_eq!(format(&formatted), formatted, "again: {script}");
        assert!(same(script, &formatted), "{script}");
    }
    assert!(!same("a b", "ab") && !same("`a  b`", "`a b`"));
}

fn script() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "[a-z]{1,3}",
        "[ \n]{1,3}",
        prop::sample::select(vec![
            "(",
            ")",
            "[",
            "]",
            "{",
            "}",
            "#{",
            ",",
            ";",
            ":",
            "::",
            ".",
            "..",
            "|",
            "||",
            "-",
            "+",
            "=",
            "=>",
            "!",
            "let ",
            "if ",
            "return ",
            "\"a b\"",
            "`x ${ y } `",
            "// c\n",
            "/* d */",
            "1.5",
            "0..2",
            "'",
            "\"",
            "`",
            "é",
        ])
        .prop_map(str::to_owned),
    ];
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    /// Whatever the script: nothing but white space changes, and a second time nothing at all.
    #[test]
    fn only_white_space_changes_and_only_once(script in script()) {
        let formatted = format(&script);
        prop_assert!(same(&script, &formatted), "{script:?} -> {formatted:?}");
        prop_assert_eq!(format(&formatted), formatted.clone(), "{:?}", script);
        prop_assert!(formatted.lines().all(|line| line.contains('`') || !line.ends_with(' ')) || formatted.contains(['`', '"', '\'']) || formatted.contains("/*"));
    }
}
