//! `gatewright dev`: from nothing to a token in one command.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use super::serve::run;
use super::start::fresh_secret;
use super::{Failure, io};
use crate::settings::{DatabaseUrl, Purpose, Secret, Secrets, Settings, SettingsFlags, Sources};

pub(super) fn dev(flags: &SettingsFlags) -> Result<(), Failure> {
    let settings = Settings::load(flags, &Sources::of_process(), Purpose::Dev)?;
    let DatabaseUrl::Sqlite(database) = &settings.database else {
        return Err(Failure::Usage("DATABASE_URL: \"dev\" keeps its accounts in an SQLite file; use \"serve\" with PostgreSQL".into()));
    };
    let secrets = match &settings.secrets {
        Some(secrets) => secrets.clone(),
        None => kept_secret(&secret_file(database))?,
    };
    let shown = database.display().to_string();
    run(&settings, &secrets, |address| {
        io::print(&greeting(address, &shown))
    })
}

fn secret_file(database: &Path) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(".secret");
    name.into()
}

/// The secret of an earlier run, or a fresh one that is kept for the next: tokens outlive a restart.
fn kept_secret(file: &Path) -> Result<Secrets, Failure> {
    let failed =
        |cause: &dyn std::fmt::Display| Failure::Failed(format!("{}: {cause}", file.display()));
    if !file.try_exists().map_err(|error| failed(&error))? {
        keep_fresh_secret(file).map_err(|error| failed(&error))?;
    }
    let mode = fs::metadata(file)
        .map_err(|error| failed(&error))?
        .permissions()
        .mode();
    if mode & 0o077 != 0 {
        return Err(failed(
            &"other users of this machine may read it; run chmod 600 on it",
        ));
    }
    let text = fs::read_to_string(file).map_err(|error| failed(&error))?;
    let secret = Secret::new(text.trim_end().to_owned()).map_err(|error| failed(&error))?;
    Ok(Secrets::single(secret))
}

/// Writes the secret under another name and links it into place: whoever starts at the same moment, or after a crash,
/// finds nothing or a whole secret.
fn keep_fresh_secret(file: &Path) -> std::io::Result<()> {
    let mut draft = file.as_os_str().to_owned();
    draft.push(format!(".new-{}", std::process::id()));
    let mut created = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&draft)?;
    let kept = writeln!(created, "{}", fresh_secret()).and_then(|()| fs::hard_link(&draft, file));
    fs::remove_file(&draft)?;
    match kept {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        kept => kept,
    }
}

fn greeting(address: SocketAddr, database: &str) -> String {
    format!(
        "Gatewright listens on http://{address} for development: accounts in {database}, docs at http://{address}/docs\n\
         \n\
         Sign a first user up:\n\
         \n  \
         curl -sS http://{address}/api/auth/register -H 'Content-Type: application/json' \\\n    \
         -d '{{\"email\":\"ann@example.com\",\"name\":\"Ann\",\"password\":\"correct-horse-7\"}}'\n"
    )
}
