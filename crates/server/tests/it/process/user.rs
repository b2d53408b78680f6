//! `gatewright user …`, beside a server that runs on the same database.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;

use super::http::Http;
use super::support::{Setup, eventually};
use crate::support::{Database, PASSWORD};

on_both!(
    accounts_are_made_and_listed,
    a_password_that_breaks_a_rule_is_refused,
    disabling_ends_every_session_and_enabling_revives_none,
    deleting_leaves_nothing,
    another_password_ends_every_session,
    a_sign_in_that_races_the_operator_leaves_no_session,
);

const OTHER_PASSWORD: &str = "battery-staple-8";

async fn accounts_are_made_and_listed(database: Database) {
    let setup = Setup::on(&database).without("BETTER_AUTH_SECRET");
    assert_eq!(setup.run(&["user", "list"]).output(), "");
    assert_eq!(setup.run(&["user", "list", "--json"]).output(), "[]\n");

    let create = [
        "user",
        "create",
        "--name",
        " Ann ",
        "--email",
        "Ann@Example.COM",
        "--json",
    ];
    let ann = setup
        .run_with_input(&create, &format!("{PASSWORD}\n"))
        .json();
    assert_eq!(
        (&ann["email"], &ann["name"]),
        (&"ann@example.com".into(), &"Ann".into())
    );
    let again = setup.run_with_input(&create, PASSWORD);
    assert_eq!(again.code, Some(1));
    assert!(
        again.stderr.contains("Email already registered"),
        "{again:?}"
    );

    let create = [
        "user",
        "create",
        "--name",
        "Bob",
        "--email",
        "bob@example.com",
        "--no-password",
    ];
    let bob = setup.run(&create).output();
    assert!(
        bob.contains("bob@example.com") && bob.contains("active"),
        "{bob}"
    );

    let all = setup.run(&["user", "list", "--json"]).json();
    let emails: Vec<_> = all
        .as_array()
        .expect("a list")
        .iter()
        .map(|user| &user["email"])
        .collect();
    assert_eq!(emails, ["ann@example.com", "bob@example.com"]);
    let lines = setup.run(&["user", "list"]).output();
    assert_eq!(lines.lines().count(), 2);
    for shown in [&all.to_string(), &lines] {
        assert!(
            !shown.contains("$2b$") && !shown.contains("password"),
            "{shown}"
        );
    }
    for selector in [ann["id"].as_str().expect("an id"), "ANN@example.com"] {
        assert_eq!(setup.run(&["user", "show", selector, "--json"]).json(), ann);
    }
    let nobody = setup.run(&["user", "show", "nobody@example.com"]);
    assert_eq!(nobody.code, Some(1));
    assert!(nobody.stderr.contains("User not found"), "{nobody:?}");

    let server = Setup::on(&database).serve();
    assert_eq!(server.client().login("ann", PASSWORD).status, 200);
    let refusal = server.client().login("bob", PASSWORD);
    assert_eq!(refusal.refusal(), (401, "Invalid email or password"));
}

async fn a_password_that_breaks_a_rule_is_refused(database: Database) {
    let setup = Setup::on(&database);
    let create = [
        "user",
        "create",
        "--name",
        "Ann",
        "--email",
        "ann@example.com",
    ];
    for (password, rule) in [
        ("sh0rt!", "8"),
        ("no-digits-here", "digit"),
        ("nospecial77", "special"),
        ("\n", "8"),
    ] {
        let outcome = setup.run_with_input(&create, password);
        assert_eq!(outcome.code, Some(1), "{password:?}: {outcome:?}");
        assert!(outcome.stderr.contains(rule), "{outcome:?}");
        assert!(
            password == "\n" || !outcome.stderr.contains(password),
            "{outcome:?}"
        );
    }
    assert_eq!(
        setup.run(&create).code,
        Some(2),
        "nothing on standard input"
    );
    assert_eq!(setup.run(&["user", "list"]).output(), "");
}

// SEC-38, SEC-88
async fn disabling_ends_every_session_and_enabling_revives_none(database: Database) {
    let setup = Setup::on(&database);
    let server = setup.serve();
    let ann = server.client().register("ann");
    let bob = server.client().register("bob");
    let said = setup.run(&["user", "disable", "ann@example.com"]).output();
    assert!(said.contains("disabled ann@example.com"), "{said}");
    assert_eq!(ann.profile().refusal(), (401, "Invalid token"));
    assert_eq!(
        server.client().login("ann", PASSWORD).refusal(),
        (401, "Invalid email or password")
    );
    assert_eq!(
        setup
            .run(&["user", "show", "ann@example.com", "--json"])
            .json()["is_active"],
        false
    );

    setup.run(&["user", "enable", "ann@example.com"]).output();
    assert_eq!(ann.profile().status, 401);
    assert_eq!(server.client().login("ann", PASSWORD).status, 200);
    assert_eq!(bob.profile().status, 200);
}

// T060, SEC-38, SEC-88
async fn deleting_leaves_nothing(database: Database) {
    let setup = Setup::on(&database);
    let server = setup.serve();
    let ann = server.client().register("ann");
    let delete = ["user", "delete", "ann@example.com"];
    for answer in ["", "n\n", "y\n"] {
        let outcome = setup.run_with_input(&delete, answer);
        assert_eq!(outcome.code, Some(1), "{outcome:?}");
        assert!(outcome.stderr.contains("--yes"), "{outcome:?}");
    }
    assert_eq!(ann.profile().status, 200);
    setup.run(&[&delete[..], &["--yes"]].concat()).output();
    assert_eq!(ann.profile().refusal(), (404, "User not found"));
    assert_eq!(setup.run(&[&delete[..], &["--yes"]].concat()).code, Some(1));
    server.client().register("ann");
}

// SEC-41
async fn another_password_ends_every_session(database: Database) {
    let setup = Setup::on(&database);
    let server = setup.serve();
    let ann = server.client().register("ann");
    let set_password = ["user", "set-password", "ann@example.com"];
    assert_eq!(setup.run_with_input(&set_password, "short").code, Some(1));
    assert_eq!(ann.profile().status, 200);
    let outcome = setup.run_with_input(&set_password, &format!("{OTHER_PASSWORD}\n"));
    assert!(!outcome.stderr.contains(OTHER_PASSWORD), "{outcome:?}");
    outcome.output();
    assert_eq!(ann.profile().status, 401);
    assert_eq!(server.client().login("ann", PASSWORD).status, 401);
    assert_eq!(server.client().login("ann", OTHER_PASSWORD).status, 200);
}

// SEC-38: a password that was right when it was checked opens nothing once the operator's command is done.
async fn a_sign_in_that_races_the_operator_leaves_no_session(database: Database) {
    let setup = Setup::on(&database)
        .with("GATEWRIGHT_CLIENT_FAILURE_LIMIT", "off")
        .with("GATEWRIGHT_LOGIN_FAILURE_LIMIT", "1000000");
    let server = setup.serve();
    let client = server.client();
    client.register("ann");
    let race = |command: [&str; 3], input: &str| {
        let (count, done) = (AtomicU32::new(0), AtomicBool::new(false));
        let tokens = thread::scope(|scope| {
            let sign_in = || sign_in_until(&done, &count, &client);
            let signing_in = [(); 3].map(|()| scope.spawn(sign_in));
            eventually("a token", || {
                (count.load(Ordering::SeqCst) > 0).then_some(())
            });
            let outcome = setup.run_with_input(&command, input);
            done.store(true, Ordering::SeqCst);
            outcome.output();
            signing_in.map(|tokens| tokens.join().expect("tokens"))
        });
        for token in tokens.concat() {
            let status = client.with_token(&token).profile().status;
            assert_eq!(status, 401, "{command:?}");
        }
    };
    race(["user", "disable", "ann@example.com"], "");
    setup.run(&["user", "enable", "ann@example.com"]).output();
    race(["user", "set-password", "ann@example.com"], OTHER_PASSWORD);
}

/// Tokens of all the sign-ins that began before `done`.
fn sign_in_until(done: &AtomicBool, count: &AtomicU32, client: &Http) -> Vec<String> {
    let mut tokens = Vec::new();
    while !done.load(Ordering::SeqCst) {
        let reply = client.login("ann", PASSWORD);
        if reply.status == 200 {
            tokens.push(reply.access_token().to_owned());
            count.fetch_add(1, Ordering::SeqCst);
        }
    }
    tokens
}
