//! Standard input, output and error.

use std::io::{self, BufRead, IsTerminal, Write};
use std::process::ExitCode;

use zeroize::Zeroizing;

use super::Failure;

/// Prints a line to standard output.
pub(super) fn print(line: &str) -> Result<(), Failure> {
    match writeln!(io::stdout().lock(), "{line}") {
        // The reader has seen enough, as in `gatewright user list | head`.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => Ok(written?),
    }
}

/// Prints what is wrong to standard error, a line for each mistake, and gives the exit code.
pub(super) fn complain(lines: &str, code: u8) -> ExitCode {
    for line in lines.lines() {
        let _ = writeln!(io::stderr().lock(), "gatewright: {line}");
    }
    ExitCode::from(code)
}

/// A new password: asked for twice without echo on a terminal, else the first line of standard input.
pub(super) fn new_password() -> Result<Zeroizing<String>, Failure> {
    if !io::stdin().is_terminal() {
        return first_line("a password");
    }
    let first = Zeroizing::new(rpassword::prompt_password("Password: ")?);
    let second = Zeroizing::new(rpassword::prompt_password("Once more: ")?);
    if *first != *second {
        return Err(Failure::Failed("the two passwords differ".into()));
    }
    Ok(first)
}

/// The first line of standard input without its end; `what` is missing where there is none.
pub(super) fn first_line(what: &str) -> Result<Zeroizing<String>, Failure> {
    let mut line = Zeroizing::new(String::with_capacity(1024));
    if io::stdin().lock().read_line(&mut line)? == 0 {
        return Err(Failure::Usage(format!(
            "standard input: {what} is wanted there, one line"
        )));
    }
    let end = line.trim_end_matches(['\n', '\r']).len();
    line.truncate(end);
    Ok(line)
}

/// Asks a yes-or-no question on a terminal; without a terminal the answer is no.
pub(super) fn confirm(question: &str) -> Result<bool, Failure> {
    if !io::stdin().is_terminal() {
        return Ok(false);
    }
    write!(io::stderr().lock(), "{question} [y/N] ")?;
    let answer = first_line("an answer")?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
