//! A weaker hash is replaced at the next successful sign-in (SEC-08).

use argon2::{Algorithm, Argon2, Params, PasswordHasher as _, Version};
use gatewright::hash::Scheme;

use super::{ANN, sign_in, store_hash, stored_hash};
use crate::support::{Database, Options, PASSWORD, TestApp};

on_both!(
    weaker_hashes_are_replaced_and_stronger_stay,
    a_failed_sign_in_replaces_nothing,
    argon2id_by_one_setting
);

fn bcrypt_hash(password: &str, cost: u32, version: bcrypt::Version) -> String {
    bcrypt::hash_with_result(password, cost)
        .expect("a hash")
        .format_for_version(version)
}

fn argon2id(password: &str, kib: u32, passes: u32) -> String {
    let params = Params::new(kib, passes, 1, None).expect("good parameters");
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let hash = argon2.hash_password_with_salt(password.as_bytes(), b"0123456789abcdef");
    hash.expect("a hash").to_string()
}

async fn weaker_hashes_are_replaced_and_stronger_stay(database: Database) {
    let options = Options {
        scheme: Scheme::Bcrypt { cost: 5 },
        ..Options::default()
    };
    let app = TestApp::with(database, options).await;
    app.user("ann").await;
    assert!(
        stored_hash(&app, ANN)
            .await
            .expect("a hash")
            .starts_with("$2b$05$")
    );
    let long = format!("{PASSWORD}{}", "x".repeat(80));
    use bcrypt::Version::{TwoA, TwoB, TwoY};
    for (password, old, kept_as) in [
        (PASSWORD, bcrypt_hash(PASSWORD, 4, TwoB), Some("$2b$05$")),
        (PASSWORD, bcrypt_hash(PASSWORD, 4, TwoA), Some("$2b$05$")),
        (PASSWORD, bcrypt_hash(PASSWORD, 4, TwoY), Some("$2b$05$")),
        (PASSWORD, argon2id(PASSWORD, 1024, 1), Some("$2b$05$")),
        (PASSWORD, argon2id(PASSWORD, 19_456, 1), Some("$2b$05$")),
        (
            &long,
            argon2id(&long, 1024, 2),
            Some("$argon2id$v=19$m=19456,t=2,p=1$"),
        ),
        (PASSWORD, bcrypt_hash(PASSWORD, 5, TwoB), None),
        (PASSWORD, bcrypt_hash(PASSWORD, 5, TwoA), None),
        (PASSWORD, bcrypt_hash(PASSWORD, 7, TwoB), None),
        (PASSWORD, argon2id(PASSWORD, 19_456, 2), None),
        (PASSWORD, argon2id(PASSWORD, 32_768, 3), None),
        (&long, argon2id(&long, 19_456, 2), None),
    ] {
        store_hash(&app, ANN, &old).await;
        assert_eq!(
            sign_in(&app.anonymous(), ANN, password).await.status,
            200,
            "{old}"
        );
        let now = stored_hash(&app, ANN).await.expect("a hash");
        match kept_as {
            Some(prefix) => assert!(now != old && now.starts_with(prefix), "{old} became {now}"),
            None => assert_eq!(now, old),
        }
        assert_eq!(
            sign_in(&app.anonymous(), ANN, password).await.status,
            200,
            "{now}"
        );
        assert_eq!(
            sign_in(&app.anonymous(), ANN, &format!("{password}x"))
                .await
                .status,
            401,
            "{now}"
        );
        assert_eq!(
            stored_hash(&app, ANN).await,
            Some(now),
            "it is as strong as it gets"
        );
    }
    // SEC-04: a bcrypt hash of another system that cut the password at 72 bytes opens to nobody's longer one.
    store_hash(&app, ANN, &bcrypt_hash(&long[..72], 5, TwoB)).await;
    assert_eq!(sign_in(&app.anonymous(), ANN, &long).await.status, 401);
    assert_eq!(
        sign_in(&app.anonymous(), ANN, &long[..72]).await.status,
        200
    );
}

async fn a_failed_sign_in_replaces_nothing(database: Database) {
    let options = Options {
        scheme: Scheme::Bcrypt { cost: 5 },
        ..Options::default()
    };
    let app = TestApp::with(database, options).await;
    app.user("ann").await;
    let old = bcrypt_hash(PASSWORD, 4, bcrypt::Version::TwoA);
    store_hash(&app, ANN, &old).await;
    assert_eq!(
        sign_in(&app.anonymous(), ANN, "wrong-horse-7").await.status,
        401
    );
    app.database
        .execute("UPDATE users SET disabled_at = 1")
        .await;
    assert_eq!(sign_in(&app.anonymous(), ANN, PASSWORD).await.status, 401);
    assert_eq!(stored_hash(&app, ANN).await, Some(old));
}

// SEC-06
async fn argon2id_by_one_setting(database: Database) {
    let options = Options {
        scheme: Scheme::Argon2id,
        ..Options::default()
    };
    let app = TestApp::with(database, options).await;
    app.user("ann").await;
    let ours = "$argon2id$v=19$m=19456,t=2,p=1$";
    assert!(
        stored_hash(&app, ANN)
            .await
            .expect("a hash")
            .starts_with(ours)
    );
    assert_eq!(sign_in(&app.anonymous(), ANN, PASSWORD).await.status, 200);
    store_hash(&app, ANN, &bcrypt_hash(PASSWORD, 6, bcrypt::Version::TwoB)).await;
    assert_eq!(sign_in(&app.anonymous(), ANN, PASSWORD).await.status, 200);
    assert!(
        stored_hash(&app, ANN)
            .await
            .expect("a hash")
            .starts_with(ours),
        "replaced"
    );
    assert_eq!(sign_in(&app.anonymous(), ANN, PASSWORD).await.status, 200);
}
