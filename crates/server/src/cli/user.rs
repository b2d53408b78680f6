//! `gatewright user …`

use std::net::{IpAddr, Ipv4Addr};

use clap::Subcommand;
use uuid::Uuid;

use super::start::{command_app, must_exist, runtime};
use super::{Failure, command_settings, io, logging};
use crate::app::App;
use crate::auth::{self, Caller, Selector};
use crate::http::UserResponse;
use crate::store::User;

/// Users read at once for a listing.
const PAGE: i64 = 500;

#[derive(Subcommand)]
pub(super) enum UserCommand {
    /// Make an account. The password is asked for, or read from standard input.
    Create {
        /// The e-mail to sign in with.
        #[arg(long)]
        email: String,
        /// The display name.
        #[arg(long)]
        name: String,
        /// Make an account that nobody can sign in to until it is given a password.
        #[arg(long)]
        no_password: bool,
        /// As a JSON object.
        #[arg(long)]
        json: bool,
    },
    /// List all accounts, oldest first.
    List {
        /// As a JSON array.
        #[arg(long)]
        json: bool,
    },
    /// Show one account.
    Show {
        /// Its id or e-mail.
        user: Selector,
        /// As a JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Disable an account and end all its sessions.
    Disable {
        /// Its id or e-mail.
        user: Selector,
    },
    /// Enable a disabled account. Its former sessions stay ended.
    Enable {
        /// Its id or e-mail.
        user: Selector,
    },
    /// Delete an account with everything that belongs to it.
    Delete {
        /// Its id or e-mail.
        user: Selector,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
    /// Set another password, asked for or read from standard input, and end all sessions.
    SetPassword {
        /// Its id or e-mail.
        user: Selector,
    },
}

pub(super) fn run(command: UserCommand) -> Result<(), Failure> {
    let settings = command_settings()?;
    if !matches!(command, UserCommand::Create { .. }) {
        must_exist(&settings)?;
    }
    let _log = logging::start(&settings)?;
    runtime()?.block_on(async {
        let app = command_app(&settings).await?;
        match command {
            UserCommand::Create {
                email,
                name,
                no_password,
                json,
            } => create(&app, &email, &name, no_password, json).await,
            UserCommand::List { json } => list(&app, json).await,
            UserCommand::Show { user, json } => show(auth::find(&app, &user).await?, json),
            other => change(&app, other).await,
        }
    })
}

async fn create(
    app: &App,
    email: &str,
    name: &str,
    no_password: bool,
    json: bool,
) -> Result<(), Failure> {
    let password = if no_password {
        None
    } else {
        Some(io::new_password()?)
    };
    let password = password.as_ref().map(|password| password.as_str());
    let user = auth::create(app, email, name, password, &operator()).await?;
    show(user, json)
}

async fn list(app: &App, json: bool) -> Result<(), Failure> {
    let mut after = Uuid::nil();
    let mut separator = "[";
    loop {
        let page = auth::list(app, after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = last.id;
        for user in page {
            if json {
                io::print(&format!("{separator}{}", object(user)?))?;
                separator = ",";
            } else {
                io::print(&line(&user))?;
            }
        }
    }
    match (json, separator) {
        (true, "[") => io::print("[]"),
        (true, _) => io::print("]"),
        (false, _) => Ok(()),
    }
}

/// The commands that change an account that is there.
async fn change(app: &App, command: UserCommand) -> Result<(), Failure> {
    let caller = operator();
    match command {
        UserCommand::Disable { user } => {
            let user = auth::find(app, &user).await?;
            auth::disable(app, user.id, &caller).await?;
            io::print(&format!(
                "disabled {}, all its sessions have ended",
                user.email
            ))
        }
        UserCommand::Enable { user } => {
            let user = auth::find(app, &user).await?;
            auth::enable(app, user.id, &caller).await?;
            io::print(&format!("enabled {}", user.email))
        }
        UserCommand::Delete { user, yes } => {
            let user = auth::find(app, &user).await?;
            if !yes && !io::confirm(&format!("Delete {} for good?", user.email))? {
                return Err(Failure::Failed(
                    "nothing was deleted; answer y, or give --yes".into(),
                ));
            }
            auth::delete(app, user.id, &caller).await?;
            io::print(&format!("deleted {}", user.email))
        }
        UserCommand::SetPassword { user } => {
            let user = auth::find(app, &user).await?;
            auth::set_password(app, &user, &io::new_password()?, &caller).await?;
            io::print(&format!(
                "set the password of {}, all its sessions have ended",
                user.email
            ))
        }
        UserCommand::Create { .. } | UserCommand::List { .. } | UserCommand::Show { .. } => Ok(()),
    }
}

fn show(user: User, json: bool) -> Result<(), Failure> {
    io::print(&if json { object(user)? } else { line(&user) })
}

fn object(user: User) -> Result<String, Failure> {
    let text = serde_json::to_string(&UserResponse::from(user));
    text.map_err(|error| Failure::Failed(error.to_string()))
}

fn line(user: &User) -> String {
    let state = if user.disabled_at.is_some() {
        "disabled"
    } else {
        "active"
    };
    format!("{}  {state:8}  {}  {}", user.id, user.email, user.name)
}

/// Whoever can run this command on this machine.
fn operator() -> Caller {
    Caller {
        address: IpAddr::V4(Ipv4Addr::LOCALHOST),
        request_id: "command-line".into(),
    }
}
