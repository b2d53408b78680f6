//! What Gatewright does, on a page: accounts, sessions, passwords and a clock, with no database and no cryptography.

pub(super) const PEOPLE: usize = 3;
/// The last one breaks the policy.
pub(super) const PASSWORDS: [&str; 3] = ["correct-horse-7", "battery staple 8!", "short"];
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// Something that a user, an operator or the world does. `token` counts back from the newest token of the run.
#[derive(Clone, Debug)]
pub(super) enum Op {
    Register {
        person: usize,
        password: usize,
        name: u8,
    },
    Login {
        person: usize,
        password: usize,
    },
    Logout {
        token: usize,
    },
    Profile {
        token: usize,
    },
    Rename {
        token: usize,
        name: Option<u8>,
    },
    Disable {
        person: usize,
    },
    Enable {
        person: usize,
    },
    Delete {
        person: usize,
    },
    SetPassword {
        person: usize,
        password: usize,
    },
    Wait {
        ms: i64,
    },
    /// The process ends and another starts, with the same secrets or with a new one before the last.
    Restart {
        rotate: bool,
    },
    /// The process ends so long after a sign-up was sent; another starts, the client sends the sign-up again, signs in,
    /// and an operator deletes the account.
    Crash {
        person: usize,
        password: usize,
        after_us: u64,
    },
    /// The cleaner comes by.
    Clean,
}

impl Op {
    /// How far it moves the clock. No process starts in no time: the same seed would make the same ids again.
    pub(super) fn takes_ms(&self) -> i64 {
        match *self {
            Self::Wait { ms } => ms,
            Self::Restart { .. } | Self::Crash { .. } => 1,
            _ => 0,
        }
    }
}

/// What can be seen of an answer. `code` is empty for a success.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) status: u16,
    pub(super) code: String,
    pub(super) user: Option<Profile>,
}

/// `number` stands for the id: accounts are counted in the order of their making.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Profile {
    pub(super) number: usize,
    pub(super) person: usize,
    pub(super) name: String,
    pub(super) is_active: bool,
    pub(super) created_at: i64,
    pub(super) updated_at: i64,
}

struct Account {
    profile: Profile,
    password: usize,
}

struct Token {
    account: usize,
    secret: u32,
    expires_at: i64,
    session_is_live: bool,
}

/// The whole state of the world.
pub(super) struct Model {
    now: i64,
    /// Version of the newest secret; the one before it is good too.
    secret: u32,
    people: [Option<Account>; PEOPLE],
    made: usize,
    tokens: Vec<Token>,
}

fn seen(status: u16, user: Option<&Profile>) -> Seen {
    let (code, user) = (String::new(), user.cloned());
    Seen { status, code, user }
}

fn refused(status: u16, code: &str) -> Seen {
    let (code, user) = (code.to_owned(), None);
    Seen { status, code, user }
}

impl Model {
    pub(super) fn new(now: i64, secret: u32) -> Self {
        let people = std::array::from_fn(|_| None);
        let (made, tokens) = (0, Vec::new());
        Self {
            now,
            secret,
            people,
            made,
            tokens,
        }
    }

    /// Does `op` and says what is to be seen.
    pub(super) fn apply(&mut self, op: &Op) -> Seen {
        self.now += op.takes_ms();
        match *op {
            Op::Register {
                person,
                password,
                name,
            } => self.register(person, password, name),
            Op::Login { person, password } => {
                let account = self.people[person].as_ref();
                let right =
                    |account: &&Account| account.profile.is_active && account.password == password;
                match account.filter(right).map(|account| account.profile.clone()) {
                    Some(profile) => self.issue(200, &profile),
                    None => refused(401, "invalid_credentials"),
                }
            }
            Op::Logout { token } => match self.check(token, refused(401, "invalid_token")) {
                Err(refusal) => refusal,
                Ok((_, index)) => {
                    self.tokens[index].session_is_live = false;
                    seen(200, None)
                }
            },
            Op::Profile { token } => match self.check(token, refused(404, "user_not_found")) {
                Err(refusal) => refusal,
                Ok((person, _)) => seen(200, self.profile(person).as_deref()),
            },
            Op::Rename { token, name } => match self.check(token, refused(404, "user_not_found")) {
                Err(refusal) => refusal,
                Ok((person, _)) => {
                    let now = self.now;
                    let profile = self.profile(person).expect("checked");
                    profile.name = name.map_or(profile.name.clone(), text);
                    profile.updated_at = now.max(profile.updated_at + 1);
                    seen(200, Some(profile))
                }
            },
            Op::Disable { person } => {
                self.change(person, true, |account, _| account.profile.is_active = false)
            }
            Op::Enable { person } => {
                self.change(person, false, |account, _| account.profile.is_active = true)
            }
            Op::Delete { person } => {
                let seen = self.change(person, true, |_, _| ());
                self.people[person] = None;
                seen
            }
            Op::SetPassword { person, password } => match self.people[person] {
                Some(_) if password == 2 => refused(0, "validation_failed"),
                _ => self.change(person, true, |account, now| {
                    account.password = password;
                    account.profile.updated_at = now.max(account.profile.updated_at + 1);
                }),
            },
            Op::Restart { rotate } => {
                self.secret += u32::from(rotate);
                Seen::default()
            }
            Op::Crash {
                person, password, ..
            } => self.crash(person, password),
            Op::Wait { .. } | Op::Clean => Seen::default(),
        }
    }

    fn register(&mut self, person: usize, password: usize, name: u8) -> Seen {
        if password == 2 {
            return refused(400, "validation_failed");
        }
        if self.people[person].is_some() {
            return refused(409, "email_taken");
        }
        let (number, name) = (self.made, text(name));
        let (created_at, updated_at) = (self.now, self.now);
        let profile = Profile {
            number,
            person,
            name,
            is_active: true,
            created_at,
            updated_at,
        };
        self.made += 1;
        let seen = self.issue(201, &profile);
        self.people[person] = Some(Account { profile, password });
        seen
    }

    /// Whether the first sign-up was done or not must not matter; half done it must never be.
    fn crash(&mut self, person: usize, password: usize) -> Seen {
        let signs_in = match &self.people[person] {
            Some(account) => account.profile.is_active && account.password == password,
            None => password != 2,
        };
        self.people[person] = None;
        if signs_in {
            seen(200, None)
        } else {
            refused(401, "invalid_credentials")
        }
    }

    fn issue(&mut self, status: u16, profile: &Profile) -> Seen {
        self.tokens.push(Token {
            account: profile.number,
            secret: self.secret,
            // Tokens count whole seconds.
            expires_at: self.now.div_euclid(1000) * 1000 + 7 * DAY_MS,
            session_is_live: true,
        });
        seen(status, Some(profile))
    }

    /// Whose the token is and its place, or why it is refused.
    fn check(&self, back: usize, nobody: Seen) -> Result<(usize, usize), Seen> {
        let Some(index) = self.tokens.len().checked_sub(back + 1) else {
            return Err(refused(401, "not_authenticated"));
        };
        let token = &self.tokens[index];
        let owns = |account: &Option<Account>| {
            let account = account.as_ref();
            account.is_some_and(|account| account.profile.number == token.account)
        };
        if token.secret + 1 < self.secret {
            return Err(refused(401, "invalid_token"));
        }
        if token.expires_at <= self.now {
            return Err(refused(401, "token_expired"));
        }
        match self.people.iter().position(owns) {
            None => Err(nobody),
            Some(person) if token.session_is_live => Ok((person, index)),
            Some(_) => Err(refused(401, "invalid_token")),
        }
    }

    fn profile(&mut self, person: usize) -> Option<&mut Profile> {
        self.people[person]
            .as_mut()
            .map(|account| &mut account.profile)
    }

    fn change(
        &mut self,
        person: usize,
        ends_sessions: bool,
        change: impl FnOnce(&mut Account, i64),
    ) -> Seen {
        let Some(account) = self.people[person].as_mut() else {
            return refused(0, "user_not_found");
        };
        change(account, self.now);
        let number = account.profile.number;
        let sessions = self
            .tokens
            .iter_mut()
            .filter(|token| ends_sessions && token.account == number);
        sessions.for_each(|token| token.session_is_live = false);
        Seen::default()
    }
}

/// The name with a number.
pub(super) fn text(name: u8) -> String {
    format!("Name {name}")
}
