//! One function per form of value: text in, typed value out, or the words that follow the variable's name.

use std::{
    fmt::Display,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    ops::RangeInclusive,
    str::FromStr,
    time::Duration,
};

use ipnet::IpNet;
use tracing_subscriber::EnvFilter;

use super::{LogFormat, PasswordHash, PasswordPolicy, RateLimit};

/// Longest life of a session: 30 days (NIST SP 800-63B-4 section 2.1.3).
const TOKEN_TTL_MAXIMUM: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// More events than anybody would count; keeps later arithmetic far from its bounds.
const COUNT_MAXIMUM: u32 = 1_000_000;
/// Longest value repeated in a message.
const SHOWN_CHARACTERS_MAXIMUM: usize = 60;

/// A value as a message shows it: on one line and short. One with an `@` may be an address with a password.
pub(super) fn shown(value: &str) -> String {
    if value.contains('@') {
        return "the value".to_owned();
    }
    let mut characters = value.chars();
    let beginning: String = characters.by_ref().take(SHOWN_CHARACTERS_MAXIMUM).collect();
    match characters.next() {
        None => format!("{beginning:?}"),
        Some(_) => format!("{beginning:?}…"),
    }
}

pub(super) fn algorithm(text: &str) -> Result<(), String> {
    choice(text, &[("HS256", ())])
}

pub(super) fn host(text: &str) -> Result<IpAddr, String> {
    if text.eq_ignore_ascii_case("localhost") {
        return Ok(Ipv4Addr::LOCALHOST.into());
    }
    text.parse().map_err(|_| {
        format!(
            "{} is not an IP address such as 127.0.0.1, 0.0.0.0 or ::1",
            shown(text)
        )
    })
}

pub(super) fn port(text: &str) -> Result<u16, String> {
    number(text, 0..=u16::MAX)
}

pub(super) fn token_ttl(text: &str) -> Result<Duration, String> {
    let malformed = || format!("{} is not a duration such as 2s, 15m or 7d", shown(text));
    let (count, unit_seconds) = [("s", 1), ("m", 60), ("h", 60 * 60), ("d", 24 * 60 * 60)]
        .iter()
        .find_map(|(unit, seconds)| Some((text.strip_suffix(unit)?, *seconds)))
        .filter(|(count, _)| is_digits(count))
        .ok_or_else(malformed)?;
    let seconds = count
        .parse::<u64>()
        .ok()
        .and_then(|count| count.checked_mul(unit_seconds))
        .unwrap_or(u64::MAX);
    let duration = Duration::from_secs(seconds);
    if duration.is_zero() || duration > TOKEN_TTL_MAXIMUM {
        return Err(format!("{} is not between 1s and 30d", shown(text)));
    }
    Ok(duration)
}

pub(super) fn password_policy(text: &str) -> Result<PasswordPolicy, String> {
    choice(
        text,
        &[
            ("spec", PasswordPolicy::Spec),
            ("nist", PasswordPolicy::Nist),
        ],
    )
}

pub(super) fn password_hash(text: &str) -> Result<PasswordHash, String> {
    choice(
        text,
        &[
            ("bcrypt", PasswordHash::Bcrypt),
            ("argon2id", PasswordHash::Argon2id),
        ],
    )
}

pub(super) fn bcrypt_cost(text: &str) -> Result<u32, String> {
    number(text, 10..=15)
}

pub(super) fn cors_origins(text: &str) -> Result<Vec<String>, String> {
    list(text, |item| {
        origin(item).ok_or_else(|| {
            format!(
                "{} is not an exact origin such as https://app.example.com or http://localhost:3000",
                shown(item)
            )
        })
    })
}

pub(super) fn trusted_proxies(text: &str) -> Result<Vec<IpNet>, String> {
    list(text, |item| {
        let network = item
            .parse::<IpNet>()
            .or_else(|_| item.parse::<IpAddr>().map(IpNet::from))
            .map_err(|_| {
                format!(
                    "{} is not an address or network such as 10.0.0.7 or 10.0.0.0/8",
                    shown(item)
                )
            })?;
        if network.prefix_len() == 0 {
            // With every hop trusted, the client itself would choose the address it is counted under.
            return Err(format!(
                "{} would trust every client; name the proxies' own networks",
                shown(item)
            ));
        }
        Ok(network.trunc())
    })
}

pub(super) fn login_failure_limit(text: &str) -> Result<u32, String> {
    number(text, 1..=COUNT_MAXIMUM)
}

pub(super) fn client_failure_limit(text: &str) -> Result<Option<RateLimit>, String> {
    if text == "off" {
        return Ok(None);
    }
    let malformed = || {
        format!(
            "{} is not a rate such as 5/s, 100/min or 500/h (1 to {COUNT_MAXIMUM}), nor off",
            shown(text)
        )
    };
    let (count, unit) = text.split_once('/').ok_or_else(malformed)?;
    let count = number(count, 1..=COUNT_MAXIMUM).map_err(|_| malformed())?;
    let per_seconds = match unit {
        "s" => 1,
        "min" => 60,
        "h" => 60 * 60,
        _ => return Err(malformed()),
    };
    let period = Duration::from_secs(per_seconds);
    Ok(Some(RateLimit { count, period }))
}

pub(super) fn boolean(text: &str) -> Result<bool, String> {
    choice(text, &[("true", true), ("false", false)])
}

pub(super) fn log_format(text: &str) -> Result<LogFormat, String> {
    choice(
        text,
        &[("text", LogFormat::Text), ("json", LogFormat::Json)],
    )
}

pub(super) fn log_filter(text: &str) -> Result<String, String> {
    match EnvFilter::builder().parse(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(_) => Err(format!(
            "{} is not a log filter such as info or gatewright=debug,warn",
            shown(text)
        )),
    }
}

fn choice<T: Copy>(text: &str, choices: &[(&str, T)]) -> Result<T, String> {
    choices
        .iter()
        .find(|(word, _)| *word == text)
        .map(|(_, value)| *value)
        .ok_or_else(|| {
            let words: Vec<_> = choices.iter().map(|(word, _)| *word).collect();
            format!("{} is not {}", shown(text), words.join(" or "))
        })
}

fn number<N: FromStr + PartialOrd + Display>(
    text: &str,
    range: RangeInclusive<N>,
) -> Result<N, String> {
    text.parse()
        .ok()
        .filter(|number| is_digits(text) && range.contains(number))
        .ok_or_else(|| {
            format!(
                "{} is not a whole number from {} to {}",
                shown(text),
                range.start(),
                range.end()
            )
        })
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// An empty text is an empty list; white space around the commas does not count.
fn list<T>(text: &str, item: impl Fn(&str) -> Result<T, String>) -> Result<Vec<T>, String> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    text.split(',').map(|part| item(part.trim())).collect()
}

/// The origin as a browser sends it in `Origin`: lower case, without the scheme's default port
/// (RFC 6454 section 6.2). `None` for whatever a browser never sends.
fn origin(text: &str) -> Option<String> {
    let lower = text.to_ascii_lowercase();
    let (scheme, authority) = lower.split_once("://")?;
    let scheme_rest = scheme.strip_prefix(|first: char| first.is_ascii_lowercase())?;
    let is_scheme = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    if !scheme_rest.bytes().all(is_scheme) {
        return None;
    }
    let host_ends = authority.find(']').map_or(0, |bracket| bracket + 1);
    let (host, port) = match authority[host_ends..].find(':') {
        Some(colon) => {
            let (host, port) = authority.split_at(host_ends + colon);
            (host, Some(number(&port[1..], 1..=u16::MAX).ok()?))
        }
        None => (authority, None),
    };
    let host = origin_host(host)?;
    match (scheme, port) {
        (_, None) | ("http", Some(80)) | ("https", Some(443)) => Some(format!("{scheme}://{host}")),
        (_, Some(port)) => Some(format!("{scheme}://{host}:{port}")),
    }
}

fn origin_host(host: &str) -> Option<String> {
    if let Some(address) = host.strip_prefix('[') {
        let address: Ipv6Addr = address.strip_suffix(']')?.parse().ok()?;
        return Some(format!("[{address}]"));
    }
    let is_label = |label: &str| {
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        !label.is_empty() && label.bytes().all(is_allowed)
    };
    host.split('.').all(is_label).then(|| host.to_owned())
}
