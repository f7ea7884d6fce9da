//! Heads of responses that are not quite as they should be: what goes on, and what is refused.

use wsgid_tests::{Mpm, Request, Stack, each_mpm};

each_mpm! {
    fn headers_of_the_connection_are_left_out_and_the_response_goes_on(mpm) {
        let stack = Stack::on(mpm).app("hops").run();
        let mut connection = stack.connect();
        let reply = connection.ask(&Request::get("/")).expect(200);
        assert_eq!(reply.text(), "data: 1\n\ndata: 2\n\n");
        assert_eq!(reply.header("X-Stays"), Some("yes"));
        for name in ["Connection", "Keep-Alive", "Upgrade", "X-Hop"] {
            assert_eq!(reply.header(name), None, "{}", reply.head);
        }
        let named = "left out of the response: Connection, Keep-Alive, Transfer-Encoding, Upgrade, X-Hop";
        let line = stack.logged("error", &["[wsgi:warn]", "[client 127.0.0.1:", named]);
        assert_eq!(stack.log("error").matches("left out").count(), 1, "{line}");
        // The connection is kept: what the application said of it was not heard.
        connection.ask(&Request::get("/")).expect(200);
    }
}

#[test]
fn an_interim_status_is_no_applications() {
    let stack = Stack::on(Mpm::Event).app("failing").run();
    for status in [100, 101, 103, 199] {
        stack.get(&format!("/status-{status}")).expect(500);
        stack.logged(
            "error",
            &["[client 127.0.0.1:", &format!("ValueError: status {status} is an interim one")],
        );
    }
    assert_eq!(stack.get("/status-299").expect(299).text(), "it did not fail\n");
}
