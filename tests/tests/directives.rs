//! Directives of the main server: what of it reaches the interpreters, and where each may stand.

use serde_json::{Value, json};
use wsgid_tests::{Mpm, Stack};

fn in_group(stack: &Stack, target: &str) -> Value {
    stack.get(target).expect(200).json()
}

#[test]
fn what_the_main_server_says_of_interpreters_holds_for_groups_that_do_not() {
    let stack = Stack::on(Mpm::Event)
        .bring("interpreter")
        .config("WSGIPythonOptimize 1\nWSGIPythonHashSeed 7\nWSGIDontWriteBytecode On")
        .config("WSGIPythonWarnings error\nWSGIPythonWarnings ignore::DeprecationWarning")
        .config("WSGISwitchInterval 0.25")
        .config("WSGIDaemonProcess plain")
        .config("WSGIDaemonProcess own python-optimize=2 python-hash-seed=random python-warnings=default")
        .config("WSGIDaemonProcess off dont-write-bytecode=Off python-optimize=0")
        .config("WSGIScriptAlias /implicit @APPS@/interpreter.wsgi")
        .config("WSGIScriptAlias /plain @APPS@/interpreter.wsgi process-group=plain")
        .config("WSGIScriptAlias /own @APPS@/interpreter.wsgi process-group=own")
        .config("WSGIScriptAlias /off @APPS@/interpreter.wsgi process-group=off")
        .run();
    let [implicit, plain, own, off] = ["/implicit", "/plain", "/own", "/off"].map(|at| in_group(&stack, at));
    for group in [&implicit, &plain] {
        assert_eq!(group["optimize"], 1);
        assert_eq!(group["warnings"], json!(["error", "ignore::DeprecationWarning"]));
        assert_eq!((&group["bytecode"], &group["seed"]), (&json!(false), &json!("7")));
    }
    assert_eq!(implicit["hash"], plain["hash"]);
    assert_eq!((&own["optimize"], &own["warnings"]), (&json!(2), &json!(["default"])));
    // mod_wsgi 6 takes `random` for 0, which is no randomization.
    assert_eq!(own["hash_randomization"], 1);
    assert_ne!(own["hash"], plain["hash"]);
    assert_eq!((&off["optimize"], &off["bytecode"]), (&json!(0), &json!(true)));
    assert_eq!((&implicit["switch_interval"], &plain["switch_interval"]), (&json!(0.25), &json!(0.005)));
}
