//! The administrator's procedure, click by click.

use crate::browser::api::{call, get};
use crate::browser::driver::Scripts;
use crate::browser::host::Host;
use crate::browser::person::Person;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn methods_are_ticked_and_unticked_with_scripts_on() {
    administration(Scripts::On).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn methods_are_ticked_and_unticked_with_scripts_off() {
    administration(Scripts::Off).await;
}

async fn administration(scripts: Scripts) {
    let host = Host::start();
    let bob = Person::signed_in(&host, "bob", scripts).await;
    bob.assert_says("You have no API access.").await;
    assert!(!bob.sees("Edit").await && !bob.sees("Administration").await);

    // root gives bob access, who has no account yet.
    let root = Person::signed_in(&host, "root", scripts).await;
    root.click("Administration").await;
    root.fill("find", "bob").await;
    root.click("Find").await;
    root.click("Give API access to this user").await;
    root.tick("GET").await;
    root.click("Save").await;
    root.assert_says("Saved. API access granted: GET.").await;

    // bob takes his first token, and rotates it once.
    let first = rotate(&host, &bob).await;
    let second = rotate(&host, &bob).await;
    let both =
        |method| (call(host.address, method, &first).0, call(host.address, method, &second).0);
    assert_eq!((both("GET"), both("POST")), ((200, 200), (403, 403)));

    // More methods apply to both tokens at once.
    root.open("/tokens/admin/user?user=bob").await;
    root.tick("POST").await;
    root.click("Save").await;
    root.assert_says("Saved. API access granted: GET, POST.").await;
    assert_eq!((both("GET"), both("POST"), both("DELETE")), ((200, 200), (200, 200), (403, 403)));

    // Ticking none revokes.
    root.tick("GET").await;
    root.tick("POST").await;
    root.click("Save").await;
    root.assert_says("Revoke the API access of bob").await;
    assert_eq!(both("GET"), (200, 200), "not before it is confirmed");
    root.tick("End the API access of bob").await;
    root.click("Save").await;
    root.assert_says("Saved. API access revoked, and every token with it.").await;
    assert_eq!((both("GET"), both("POST")), ((401, 401), (401, 401)));
    bob.open("/tokens").await;
    bob.assert_says("You have no API access.").await;
    host.mail.next();

    // A later grant starts without tokens; then every token is revoked.
    root.tick("GET").await;
    root.click("Save").await;
    assert_eq!(both("GET"), (401, 401));
    let third = rotate(&host, &bob).await;
    assert_eq!(get(host.address, &third), 200);
    root.open("/tokens/admin").await;
    root.click("bob").await;
    root.click("Revoke every token").await;
    root.tick("End every token at once").await;
    root.click("Save").await;
    root.assert_says("Saved. Every token revoked.").await;
    assert_eq!(get(host.address, &third), 401);
    bob.leave().await;
    root.leave().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn access_is_suspended_and_resumed_with_scripts_on() {
    suspension(Scripts::On).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn access_is_suspended_and_resumed_with_scripts_off() {
    suspension(Scripts::Off).await;
}

async fn suspension(scripts: Scripts) {
    let host = Host::start();
    let alice = Person::signed_in(&host, "alice", scripts).await;
    let token = rotate(&host, &alice).await;
    let root = Person::signed_in(&host, "root", scripts).await;
    root.click("Administration").await;
    root.click("alice").await;
    root.click("Suspend access").await;
    root.assert_says("token 1").await;
    assert_eq!(get(host.address, &token), 200, "not before it is confirmed");
    root.tick("Suspend the API access of alice").await;
    root.click("Save").await;
    root.assert_says("Saved. API access suspended.").await;
    assert_eq!(get(host.address, &token), 403);
    host.mail.next();

    alice.open("/tokens").await;
    alice.assert_says("Your API access is suspended since").await;
    alice.click("Edit").await;
    assert!(!alice.sees("Generate New Primary").await && alice.sees("Revoke everything now").await);

    root.click("Resume access").await;
    root.tick("Resume the API access of alice").await;
    root.click("Save").await;
    root.assert_says("Saved. API access resumed.").await;
    assert_eq!(get(host.address, &token), 200);
    host.mail.next();
    alice.open("/tokens/edit").await;
    assert!(alice.sees("Generate New Primary").await);

    // Nobody is found who is suspended, and the filter can be taken off.
    root.click("Administration").await;
    root.unfold("Filter").await;
    root.tick("Access is suspended").await;
    root.click("Show").await;
    assert!(!root.sees("alice").await && root.address().await.contains("suspended=yes"));
    root.click("Show all").await;
    root.click("alice").await;

    // All of it stands in the log.
    root.click("Everything in the audit log").await;
    root.assert_says("alice: API access resumed").await;
    root.click("Show all").await;
    root.fill("user", "bob").await;
    root.click("Show").await;
    root.assert_says("None.").await;
    alice.leave().await;
    root.leave().await;
}

async fn rotate(host: &Host, bob: &Person<'_>) -> String {
    bob.edit("Generate New Primary", "Generate a new primary token").await;
    let token = bob.shown_token().await;
    bob.follow(&host.mail.next().link()).await;
    bob.click("Activate the new token").await;
    bob.assert_says("confirmed as the primary").await;
    host.mail.next();
    token
}
