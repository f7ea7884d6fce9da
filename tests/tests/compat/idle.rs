//! What has nothing to do here says so: the evidence of names without effect.

use wsgid_proto::options::{Force, RULES, Shape};
use wsgid_tests::httpd::configtest;
use wsgid_tests::{Mpm, Stack};

/// Something that the option takes.
fn sample(shape: &Shape) -> String {
    match shape {
        Shape::Number(least, _) | Shape::Size(least) => least.max(&1).to_string(),
        Shape::Path | Shape::Paths => "/srv".into(),
        Shape::Switch => "On".into(),
        Shape::Choice(words) => words[0].into(),
        _ => "7".into(),
    }
}

#[test]
fn an_option_without_effect_is_named() {
    let idle: Vec<_> = RULES.iter().filter(|rule| rule.force != Force::Full).collect();
    assert!(!idle.is_empty());
    let options: Vec<String> =
        idle.iter().map(|rule| format!("{}={}", rule.name, sample(&rule.shape))).collect();
    let config = format!("WSGIDaemonProcess site {}", options.join(" "));
    let (good, said) = configtest(&Stack::on(Mpm::Event).config(&config).without_daemon().lay_out());
    assert!(good, "{said}");
    for rule in idle {
        let Force::Moot(why) = rule.force else { continue };
        let named = said.lines().find(|line| line.contains(&format!("'{}'", rule.name)));
        assert!(named.is_some_and(|line| line.contains(why)), "{}: {said}", rule.name);
    }
}

#[test]
fn what_access_control_no_longer_asks_is_named() {
    let config = "<Location />\nWSGIGroupAuthoritative Off\n</Location>";
    let (good, said) = configtest(&Stack::on(Mpm::Event).config(config).without_daemon().lay_out());
    assert!(good && said.contains("WSGIGroupAuthoritative"), "{said}");
}
