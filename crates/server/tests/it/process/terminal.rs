//! What a person at a terminal meets. The terminal is made by `script`, which util-linux has nearly everywhere.

use std::io::{Read as _, Write as _};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use super::support::{Setup, left_out};
use crate::support::{Database, PASSWORD};

/// A program at a terminal: what it writes, echo included, and a keyboard.
struct Terminal {
    child: Child,
    screen: String,
}

impl Terminal {
    /// None where there is no `script`.
    fn open(setup: &Setup, arguments: &str) -> Option<Self> {
        let program = setup.command(&[]);
        let line = format!("exec {} {arguments}", program.get_program().display());
        let child = Command::new("script")
            .args(["--quiet", "--return", "--command", &line, "/dev/null"])
            .env_clear()
            .envs(
                program
                    .get_envs()
                    .filter_map(|(name, value)| Some((name, value?))),
            )
            .env("PATH", "/usr/bin:/bin")
            .env("SHELL", "/bin/sh")
            .current_dir(setup.directory())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        match child {
            Ok(child) => Some(Self {
                child,
                screen: String::new(),
            }),
            Err(_) => {
                left_out("everything at a terminal (script, of util-linux, is not installed)");
                None
            }
        }
    }

    /// Waits until `text` is on the screen.
    fn shows(&mut self, text: &str) {
        // Byte by byte, so that nothing is read that somebody else waits for.
        let output = self.child.stdout.as_mut().expect("a pipe");
        let mut byte = [0];
        while !self.screen.ends_with(text) {
            let length = output.read(&mut byte).expect("output");
            assert_ne!(length, 0, "no {text:?} in {:?}", self.screen);
            self.screen.push(char::from(byte[0]));
        }
    }

    /// A person's first key comes a moment after the question, when the echo is off.
    fn types(&mut self, line: &str) {
        thread::sleep(Duration::from_millis(300));
        let keyboard = self.child.stdin.as_mut().expect("a pipe");
        keyboard.write_all(line.as_bytes()).expect("typed");
        keyboard.write_all(b"\n").expect("typed");
    }

    /// The exit code, and all that was on the screen.
    fn end(mut self) -> (Option<i32>, String) {
        let mut rest = String::new();
        let mut output = self.child.stdout.take().expect("a pipe");
        output.read_to_string(&mut rest).expect("UTF-8");
        let status = self.child.wait().expect("a child of ours");
        (status.code(), self.screen + &rest)
    }
}

#[test]
fn a_password_is_asked_for_twice_and_never_shown() {
    let database = Database::sqlite();
    let setup = Setup::on(&database);
    let create = "user create --email ann@example.com --name Ann";
    for (again, code) in [("correct-horse-8", 1), (PASSWORD, 0)] {
        let Some(mut terminal) = Terminal::open(&setup, create) else {
            return;
        };
        terminal.shows("Password: ");
        terminal.types(PASSWORD);
        terminal.shows("Once more: ");
        terminal.types(again);
        let (ended, screen) = terminal.end();
        assert_eq!(ended, Some(code), "{screen}");
        assert!(
            !screen.contains(PASSWORD) && !screen.contains(again),
            "{screen}"
        );
    }
    assert_eq!(setup.serve().client().login("ann", PASSWORD).status, 200);
}

#[test]
fn deleting_asks_and_only_yes_is_yes() {
    let database = Database::sqlite();
    let setup = Setup::on(&database);
    let create = [
        "user",
        "create",
        "--no-password",
        "--name",
        "Ann",
        "--email",
        "ann@example.com",
    ];
    setup.run(&create).output();
    for (answer, code) in [("n", 1), ("", 1), ("maybe", 1), ("y", 0)] {
        let Some(mut terminal) = Terminal::open(&setup, "user delete ann@example.com") else {
            return;
        };
        terminal.shows("Delete ann@example.com for good? [y/N] ");
        terminal.types(answer);
        let (ended, screen) = terminal.end();
        assert_eq!(ended, Some(code), "{answer:?}: {screen}");
        assert_eq!(
            setup.run(&["user", "show", "ann@example.com"]).code,
            Some(1 - code)
        );
    }
}

#[test]
fn a_server_logs_to_a_terminal() {
    let database = Database::sqlite();
    for format in ["text", "json"] {
        let setup = Setup::on(&database).with("GATEWRIGHT_LOG_FORMAT", format);
        let Some(mut terminal) = Terminal::open(&setup, "serve") else {
            return;
        };
        terminal.shows("listening");
        terminal.shows("\n");
        // Control-C, as a person stops it.
        let keyboard = terminal.child.stdin.as_mut().expect("a pipe");
        keyboard.write_all(b"\x03").expect("typed");
        let (ended, screen) = terminal.end();
        assert_eq!(ended, Some(0), "{screen}");
        assert!(screen.contains("stopped"), "{screen}");
    }
}
