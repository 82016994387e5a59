//! Follows the README of the example `two_nodes` as a new user would, on a real
//! server.

mod nodes;

use crate::{postgres, redis_server, server};

use self::nodes::{Node, block, curl_statuses, promised, run};

/// What the lines to paste answer, on two new nodes over that database.
fn follow(store: &str) {
    let first = Node::start(&["--store", store, "--set-up"]);
    let second = Node::start(&["--store", store]);
    let script = block("## Try it");
    let (first_address, second_address) = ("127.0.0.1:8081", "127.0.0.1:8082");
    assert!(script.contains(first_address) && script.contains(second_address));
    second.is_trusted();
    let script = script.replace(first_address, &first.address);
    let answers = run(&script.replace(second_address, &second.address));
    assert_eq!(curl_statuses(&answers), [200, 200, 200, 200, 204, 401, 401], "{answers}");
    assert_eq!(curl_statuses(&answers), promised(&script));
    assert!(answers.contains("\"hits\":1") && answers.contains("\"trusted\":true"), "{answers}");
}

#[test]
fn the_steps_answer_as_their_comments_say_on_postgres() {
    let server = postgres::Server::start(&[]);
    follow(&format!("postgres://postgres@{}/postgres", server.address()));
}

#[test]
fn the_steps_answer_as_their_comments_say_on_redis() {
    let server = redis_server::Server::start(&redis_server::DURABLE);
    follow(&format!("redis://{}", server.address()));
}

#[test]
fn without_the_database_each_node_answers_503_and_goes_on_after_it() {
    let server = postgres::Server::start(&[]);
    let store = format!("postgres://postgres@{}/postgres", server.address());
    let nodes = [Node::start(&["--store", &store, "--set-up"]), Node::start(&["--store", &store])];
    nodes.iter().for_each(Node::is_trusted);
    let token = run(&format!("curl -sX POST http://{}/admin/alice", nodes[0].address));
    let statuses = || nodes.each_ref().map(|node| node.status(&token));
    assert_eq!(statuses(), [200, 200]);
    server.kill();
    // From memory at first, but never 401.
    server::wait_until("both notice", || {
        let now = statuses();
        assert!(now.iter().all(|status| [200, 503].contains(status)), "{now:?}");
        now == [503, 503]
    });
    server.start_again();
    server::wait_until("both go on", || {
        let now = statuses();
        assert!(now.iter().all(|status| [200, 503].contains(status)), "{now:?}");
        now == [200, 200]
    });
}
