//! `gatewright dev`: from nothing to a token.

use std::io::BufRead as _;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};
use std::thread;

use serde_json::Value;

use super::support::{Server, Setup, left_out, outcome};
use crate::support::{Database, SECRET};

fn nothing() -> Setup {
    Setup::bare()
        .with("PORT", "0")
        .with("GATEWRIGHT_BCRYPT_COST", "10")
}

/// What is printed for the person who started it.
fn greeting(server: &mut Server) -> String {
    let lines = server.output().lines().map_while(Result::ok);
    // The command's last line ends with the body.
    let mut text = String::new();
    for line in lines {
        text.push_str(&line);
        text.push('\n');
        if line.ends_with("}'") {
            return text;
        }
    }
    panic!("no command in {text:?}");
}

// SC-001
#[test]
fn the_printed_command_signs_a_first_user_up() {
    let setup = nothing();
    let mut server = setup.start("dev");
    let text = greeting(&mut server);
    let at = text.find("curl ").expect("a curl command");
    assert!(
        text.contains(&format!("http://{}", server.address)),
        "{text}"
    );
    if Command::new("curl")
        .arg("--version")
        .stdout(Stdio::null())
        .status()
        .is_err()
    {
        return left_out("the printed command (curl is not installed)");
    }
    let mut shell = Command::new("sh");
    shell
        .args(["-c", &text[at..]])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let body: Value = serde_json::from_str(&outcome(&mut shell, "").output()).expect("JSON");
    let token = body["access_token"].as_str().expect("a token");
    let ann = server.client().with_token(token);
    assert_eq!(ann.profile().body["email"], "ann@example.com");
    for path in ["/docs/", "/openapi.json"] {
        assert_eq!(server.client().get(path).status, 200, "{path}");
    }
}

#[test]
fn the_generated_secret_is_ours_alone_and_outlives_a_restart() {
    let setup = nothing();
    let server = setup.start("dev");
    server.wait_until_ready();
    let ann = server.client().register("ann");
    server.kill();
    let file = setup.directory().join("gatewright.db.secret");
    let metadata = std::fs::metadata(&file).expect("the secret's file");
    assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
    let secret = std::fs::read_to_string(&file).expect("the secret");

    let server = setup.start("dev");
    server.wait_until_ready();
    assert_eq!(ann.at(&server).profile().status, 200);
    let log = server.log().lines().join("\n");
    assert!(!log.contains(secret.trim_end()), "{log}");
    drop(server);

    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).expect("a mode");
    let outcome = setup.run(&["dev"]);
    assert!(outcome.complaint(1).contains("chmod 600"), "{outcome:?}");
}

#[test]
fn four_that_start_at_once_agree_on_one_secret() {
    let setup = nothing();
    let starting = [(); 4].map(|()| {
        let setup = setup.clone();
        thread::spawn(move || setup.start("dev"))
    });
    let servers = starting.map(|server| server.join().expect("a server"));
    for server in &servers {
        server.wait_until_ready();
    }
    let ann = servers[0].client().register("ann");
    for server in &servers {
        assert_eq!(ann.at(server).profile().status, 200);
    }
    let files = std::fs::read_dir(setup.directory()).expect("the directory");
    let names = files.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let drafts: Vec<_> = names.filter(|name| name.contains(".new-")).collect();
    assert!(drafts.is_empty(), "{drafts:?}");
}

#[test]
fn a_secret_that_is_given_is_used() {
    let setup = nothing().with("BETTER_AUTH_SECRET", SECRET);
    let server = setup.start("dev");
    server.wait_until_ready();
    let ann = server.client().register("ann");
    assert!(!setup.directory().join("gatewright.db.secret").exists());
    let inspected = setup.run(&["token", "inspect", ann.token()]);
    assert_eq!(inspected.code, Some(0), "{inspected:?}");
    let weak = nothing()
        .with("BETTER_AUTH_SECRET", "hunter2")
        .run(&["dev"]);
    assert!(
        weak.complaint(2).contains("BETTER_AUTH_SECRET: "),
        "{weak:?}"
    );
}

#[test]
fn only_loopback_and_a_file() {
    for host in ["0.0.0.0", "::", "192.0.2.1"] {
        let outcome = nothing().with("HOST", host).run(&["dev"]);
        assert!(outcome.complaint(2).contains("HOST: "), "{outcome:?}");
    }
    let outcome = nothing().run(&["dev", "--host", "0.0.0.0"]);
    assert!(outcome.complaint(2).contains("HOST: "), "{outcome:?}");
    let postgres = "postgres://ann:hunter2@127.0.0.1/accounts";
    let outcome = nothing().with("DATABASE_URL", postgres).run(&["dev"]);
    assert!(
        outcome.complaint(2).contains("DATABASE_URL: "),
        "{outcome:?}"
    );
    assert!(!outcome.stderr.contains("hunter2"), "{outcome:?}");
}

// REL-15
#[test]
fn a_second_one_on_the_same_port_says_so() {
    let database = Database::sqlite();
    let server = Setup::on(&database).serve();
    let port = server.address.port().to_string();
    let outcome = Setup::on(&database).with("PORT", &port).run(&["serve"]);
    let line = outcome.complaint(1);
    assert!(line.contains("PORT: ") && line.contains(&port), "{line}");
}
