//! A deployment of version 2 of the schema, and programs of that version which run on
//! while it is upgraded.

use std::collections::BTreeMap;
use std::time::Duration;

use redis::{Script, Value};
use tower_api_token::store::{AccountStore, DueAccounts, PageSize, StoreErrorKind, TokenStore};

use crate::redis_server::{DURABLE, Deployment, Server};
use crate::redis_store::log::{fill, log};
use crate::relay::{Mode, Relay};
use crate::sample::{account, change, digest};

/// What a program of version 2 finds accounts by.
const FIND: &str = "
    local found = redis.pcall('GETEX', KEYS[1])
    if found then
        if string.sub(found, 1, #ARGV[1]) ~= ARGV[1] then
            return redis.error_reply('LOST the deployment is not there')
        end
        local user = string.sub(found, #ARGV[1] + 1)
        return redis.call('HGET', ARGV[2] .. 'account:' .. user, 'record') or 1
    end
    if redis.call('GET', ARGV[2] .. 'deployment') ~= '\\2552:' .. ARGV[1] then
        return redis.error_reply('LOST the deployment is not there')
    end
    return false";

/// What each of its scripts that write begins with.
const WRITE: &str = "
    if redis.call('GET', KEYS[1]) ~= '\\2552:' .. ARGV[1] then
        return redis.error_reply('LOST the deployment is not there')
    end
    return 'written'";

/// Makes of the deployment what version 2 has written.
async fn former(server: &Server, deployment: &Deployment, accounts: u64) -> String {
    let marker = deployment.key("deployment");
    let mut connection = server.client().get_multiplexed_async_connection().await.unwrap();
    let ready: Vec<u8> = redis::cmd("GET").arg(&marker).query_async(&mut connection).await.unwrap();
    let name = String::from_utf8(ready[3..].to_vec()).unwrap();
    let mut back = redis::pipe();
    for key in ["audit", "audit-users", "due", "cursors"] {
        back.cmd("DEL").arg(deployment.key(key)).ignore();
    }
    back.cmd("HDEL").arg(deployment.key("numbers")).arg("accounts").ignore();
    for number in 1..=accounts {
        let account = deployment.key(&format!("account:user {number:05}"));
        back.cmd("HDEL").arg(account).arg("number").ignore();
    }
    let version_2 = [b"\xff2:", name.as_bytes()].concat();
    back.cmd("SET").arg(&marker).arg(version_2).ignore();
    back.query_async::<()>(&mut connection).await.unwrap();
    name
}

/// Each entry is in the log once, and those of an account are in order.
async fn has_every_entry_once(deployment: &Deployment, accounts: u64, revisions: u64) {
    let store = deployment.opened().await;
    let found = log(&store).await;
    assert!(found.is_sorted_by(|(one, _), (next, _)| one < next));
    let mut by_user = BTreeMap::<_, Vec<_>>::new();
    for (_, entry) in found {
        let (user, revision) = entry.unwrap();
        by_user.entry(user).or_default().push(revision);
    }
    assert_eq!(by_user.len() as u64, accounts);
    for (user, found) in by_user {
        assert_eq!(found, Vec::from_iter(1..=revisions), "{user}");
    }
}

#[tokio::test]
async fn several_nodes_upgrade_a_deployment_that_they_lose_again_and_again() {
    const ACCOUNTS: u64 = 800;
    const REVISIONS: u64 = 5;

    let server = Server::start(&DURABLE);
    let deployment = server.deployment();
    fill(&deployment.store().await, ACCOUNTS, REVISIONS).await;
    former(&server, &deployment, ACCOUNTS).await;
    let relay = Relay::to(server.address()).await;
    let mut broken = 0;
    for round in 1_u64.. {
        relay.set(Mode::Open);
        let node = deployment.through(relay.address).opened().await;
        let upgrade = tokio::spawn(async move { node.create().await });
        tokio::time::sleep(Duration::from_millis(round * 5)).await;
        relay.set(Mode::Cut);
        match upgrade.await.unwrap() {
            Ok(()) => break,
            Err(error) => assert_eq!(error.kind(), StoreErrorKind::Unavailable),
        }
        broken += 1;
        if broken == 4 {
            // These go on to the end, beside each other.
            let nodes = [deployment.opened().await, deployment.opened().await];
            let [one, other] = &nodes;
            let (one, other) = tokio::join!(one.create(), other.create());
            one.and(other).unwrap();
        }
    }
    assert!(broken > 0, "no attempt was broken off");
    has_every_entry_once(&deployment, ACCOUNTS, REVISIONS).await;
}

/// Histories of any length come into the log in pieces.
#[tokio::test]
async fn a_long_history_is_upgraded() {
    let server = Server::start(&DURABLE);
    let deployment = server.deployment();
    fill(&deployment.store().await, 2, 650).await;
    former(&server, &deployment, 2).await;
    deployment.opened().await.create().await.unwrap();
    has_every_entry_once(&deployment, 2, 650).await;
}

/// It finds what it found and can change nothing, from the first step of the upgrade on;
/// the new one refuses to work until it is done.
#[tokio::test]
async fn a_program_of_version_2_goes_on_finding_accounts_and_changes_none() {
    let server = Server::start(&DURABLE);
    let deployment = server.deployment();
    fill(&deployment.store().await, 1, 1).await;
    let name = former(&server, &deployment, 1).await;
    let mut connection = server.client().get_multiplexed_async_connection().await.unwrap();
    let marker = deployment.key("deployment");
    let [of_somebody, of_nobody] = [1, 2]
        .map(|number| [deployment.key("digest:").as_bytes(), digest(number).as_bytes()].concat());
    let (find, write) = (Script::new(FIND), Script::new(WRITE));
    let mut found = Vec::new();
    for (step, version) in [&b"\xff2:"[..], b"\xff2>3:", b"\xff3:"].into_iter().enumerate() {
        match step {
            0 => {}
            1 => {
                let upgrading = [version, name.as_bytes()].concat();
                let mut set = redis::cmd("SET");
                set.arg(&marker).arg(upgrading).query_async::<()>(&mut connection).await.unwrap();
            }
            _ => deployment.opened().await.create().await.unwrap(),
        }
        let now: Vec<u8> =
            redis::cmd("GET").arg(&marker).query_async(&mut connection).await.unwrap();
        assert_eq!(now, [version, name.as_bytes()].concat());
        let all = deployment.key("");
        let mut call = find.key(&of_somebody);
        let record: Value = call.arg(&name).arg(&all).invoke_async(&mut connection).await.unwrap();
        found.push(record);
        let mut call = find.key(&of_nobody);
        let unknown: redis::RedisResult<Value> =
            call.arg(&name).arg(&all).invoke_async(&mut connection).await;
        let written: redis::RedisResult<String> =
            write.key(&marker).arg(&name).invoke_async(&mut connection).await;
        if step == 0 {
            unknown.unwrap();
            written.unwrap();
        } else {
            assert_eq!(unknown.unwrap_err().code(), Some("LOST"));
            assert_eq!(written.unwrap_err().code(), Some("LOST"));
        }
        let new = deployment.opened().await;
        let changed = new.replace(change(account("user 00001", 2, 1))).await;
        if step == 2 {
            changed.unwrap();
            assert!(new.find(&digest(1)).await.unwrap().is_some());
        } else {
            assert_eq!(changed.unwrap_err().kind(), StoreErrorKind::NotSetUp);
        }
    }
    assert!(found[0] != Value::Nil && found.iter().all(|record| *record == found[0]));
    let store = deployment.opened().await;
    let ever = tower_api_token::time::Timestamp::from_unix_millis(u64::MAX);
    assert!(store.due(ever, None, PageSize::MAX).await.unwrap().items.is_empty());
    assert_eq!(store.schedule().await.unwrap(), 0);
    assert_eq!(log(&store).await.len(), 2);
}
