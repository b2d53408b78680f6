use crate::{Error, Malformed};

/// Takes the bearer token out of the values of all `Authorization` headers of a request (RFC 6750 §2.1).
///
/// The scheme is compared without regard to case. Another scheme, or `Bearer` with nothing behind it, counts as no
/// credential at all (RFC 6750 §3.1).
///
/// # Errors
/// [`Error::Missing`] when no bearer token was sent; [`Malformed::Credential`] when there is more than one
/// `Authorization` header, more than one token, or a byte that no token has.
///
/// ```
/// use gatewright_verify::{Error, bearer};
///
/// assert_eq!(bearer([&b"Bearer abc.def.ghi"[..]]), Ok("abc.def.ghi"));
/// assert_eq!(bearer([]), Err(Error::Missing));
/// ```
pub fn bearer<'a>(
    authorization_values: impl IntoIterator<Item = &'a [u8]>,
) -> Result<&'a str, Error> {
    let mut values = authorization_values.into_iter();
    let value = values.next().ok_or(Error::Missing)?;
    if values.next().is_some() {
        return Err(Malformed::Credential.into());
    }

    let value = str::from_utf8(value).map_err(|_| Malformed::Credential)?;
    let (scheme, token) = value.split_once(' ').unwrap_or((value, ""));
    let token = token.trim_matches(' ');
    if !scheme.eq_ignore_ascii_case("bearer") || token.is_empty() {
        return Err(Error::Missing);
    }
    if !token.bytes().all(|byte| TOKEN68[usize::from(byte)]) {
        return Err(Malformed::Credential.into());
    }
    Ok(token)
}

/// RFC 9110 §11.2: what a credential of the form `token68` is made of. A table, because every byte of every token is
/// looked up.
const TOKEN68: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < table.len() {
        table[byte] = (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    let others = b"-._~+/=";
    let mut index = 0;
    while index < others.len() {
        table[others[index] as usize] = true;
        index += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: Result<&str, Error> = Err(Error::Malformed(Malformed::Credential));

    // SEC-73
    #[test]
    fn the_scheme_is_compared_without_regard_to_case() {
        for value in [
            "Bearer a.b.c",
            "bearer a.b.c",
            "BEARER a.b.c",
            "bEaReR   a.b.c ",
        ] {
            assert_eq!(bearer([value.as_bytes()]), Ok("a.b.c"), "{value}");
        }
    }

    // SEC-73
    #[test]
    fn without_a_bearer_token_nothing_was_sent() {
        assert_eq!(bearer([]), Err(Error::Missing));
        for value in [
            "",
            "Bearer",
            "Bearer ",
            "Bearer   ",
            "Basic YTpi",
            "Bearera.b.c",
            "a.b.c",
            " Bearer a.b.c",
        ] {
            assert_eq!(bearer([value.as_bytes()]), Err(Error::Missing), "{value:?}");
        }
    }

    // SEC-73
    #[test]
    fn two_credentials_are_refused() {
        assert_eq!(bearer([&b"Bearer a.b.c"[..], b"Bearer a.b.c"]), TWO);
        assert_eq!(bearer([&b"Bearer a.b.c"[..], b"Basic YTpi"]), TWO);
        assert_eq!(bearer([&b"Basic YTpi"[..], b"Bearer a.b.c"]), TWO);
        for value in [
            "Bearer a.b.c d.e.f",
            "Bearer a.b.c,Bearer d.e.f",
            "Bearer a.b.c, Basic YTpi",
        ] {
            assert_eq!(bearer([value.as_bytes()]), TWO, "{value}");
        }
    }

    #[test]
    fn bytes_that_no_token_has_are_refused() {
        for value in [
            &b"Bearer a.b.c\0"[..],
            b"Bearer \ta.b.c",
            b"Bearer \"a.b.c\"",
            b"Bearer a\xffb",
            "Bearer a.b.ç".as_bytes(),
        ] {
            assert_eq!(bearer([value]), TWO, "{value:?}");
        }
    }
}
