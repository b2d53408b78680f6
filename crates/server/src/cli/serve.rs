//! `gatewright serve`

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, oneshot};
use tokio::time::sleep;

use super::Failure;
use super::logging;
use super::start::{app, chain, runtime, store};
use crate::app::App;
use crate::http::{self, Deadlines, Edge};
use crate::settings::{Purpose, Secrets, Settings, SettingsFlags, Sources};
use crate::store::MigrationFailure;

/// Rows deleted at once; small enough that nobody notices (REL-36).
const CLEANING_BATCH: i64 = 500;
const CLEANING_PAUSE: Duration = Duration::from_millis(100);
const CLEANING_EVERY: Duration = Duration::from_secs(60);
/// Between attempts to reach a database that was away at the start (REL-35).
const FIRST_RETRY: Duration = Duration::from_millis(250);
const LONGEST_RETRY: Duration = Duration::from_secs(3);

pub(super) fn serve(flags: &SettingsFlags) -> Result<(), Failure> {
    let settings = Settings::load(flags, &Sources::of_process(), Purpose::Serve)?;
    let Some(secrets) = settings.secrets.clone() else {
        return Err(Failure::Usage("BETTER_AUTH_SECRET: is not set".into()));
    };
    run(&settings, &secrets, |_| Ok(()))
}

/// Runs the server until a signal stops it. `announce` is told the address once the port is open.
pub(super) fn run(
    settings: &Settings,
    secrets: &Secrets,
    announce: impl FnOnce(SocketAddr) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let _log = logging::start(settings)?;
    runtime()?.block_on(async {
        let store = store(settings)?;
        let app = Arc::new(app(settings, secrets, store)?);
        let listener = listen(settings).await?;
        let address = listener.local_addr()?;
        tracing::info!(%address, database = settings.database.redacted(), "listening");
        announce(address)?;
        serve_until_stopped(settings, app, listener).await
    })
}

async fn listen(settings: &Settings) -> Result<TcpListener, Failure> {
    let address = SocketAddr::new(settings.host, settings.port);
    let listener = TcpListener::bind(address).await;
    listener.map_err(|error| {
        Failure::Failed(format!("HOST, PORT: cannot listen on {address}: {error}"))
    })
}

async fn serve_until_stopped(
    settings: &Settings,
    app: Arc<App>,
    listener: TcpListener,
) -> Result<(), Failure> {
    let (stop, stopped) = oneshot::channel();
    let (give_up, mut given_up) = mpsc::channel(1);
    let background = [
        tokio::spawn(watch_signals(app.clone(), stop)?),
        tokio::spawn(prepare(app.clone(), give_up)),
        tokio::spawn(clean(app.clone())),
    ];
    let edge = Edge::new(settings.trusted_proxies.clone(), &app.random);
    let router = http::router(app, edge, &settings.cors_origins, settings.docs);
    let serving = http::serve(listener, router, Deadlines::default(), async {
        let _ = stopped.await;
    });
    let outcome = tokio::select! {
        () = serving => Ok(()),
        Some(reason) = given_up.recv() => Err(Failure::Failed(reason)),
    };
    background.iter().for_each(tokio::task::JoinHandle::abort);
    tracing::info!("stopped");
    outcome
}

/// The first SIGTERM or SIGINT stops gracefully, the second at once.
fn watch_signals(
    app: Arc<App>,
    stop: oneshot::Sender<()>,
) -> std::io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
        app.phase.stop();
        tracing::info!("stopping: no new connections, requests in flight are finished");
        let _ = stop.send(());
        tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
        std::process::exit(1);
    })
}

/// Brings the schema up to date, for as long as it takes the database to appear; gives up only where waiting is no help.
async fn prepare(app: Arc<App>, give_up: mpsc::Sender<String>) {
    let mut pause = FIRST_RETRY;
    loop {
        match app.store.migrate().await {
            Ok(()) => {
                app.phase.run();
                tracing::info!("ready");
                // Held, so that the receiver does not see the end of a task that has nothing to report.
                give_up.closed().await;
                return;
            }
            Err(MigrationFailure::Lasting(error)) => {
                let _ = give_up
                    .send(format!("DATABASE_URL: {}", chain(error.as_ref())))
                    .await;
                return;
            }
            Err(MigrationFailure::Unavailable(error)) => {
                tracing::warn!(
                    cause = chain(&error),
                    "the database is not available, trying again"
                );
                sleep(pause).await;
                pause = (pause * 2).min(LONGEST_RETRY);
            }
        }
    }
}

/// Deletes expired sessions and counters, a few at a time; only after sign-ins, so that a database that sleeps when nobody
/// needs it (Neon) is not kept awake.
async fn clean(app: Arc<App>) {
    let mut hashes_seen = None;
    loop {
        sleep(CLEANING_EVERY).await;
        let hashes = Some(app.hasher.load().hashes);
        if hashes_seen == hashes {
            continue;
        }
        hashes_seen = hashes;
        while delete_batch(&app).await {
            sleep(CLEANING_PAUSE).await;
        }
    }
}

/// True when there may be more to delete.
async fn delete_batch(app: &App) -> bool {
    let deleted = app.store.delete_expired(app.clock.now_ms(), CLEANING_BATCH);
    match deleted.await {
        Ok(deleted) => deleted >= CLEANING_BATCH.unsigned_abs(),
        Err(error) => {
            tracing::warn!(%error, "expired rows are left for later");
            false
        }
    }
}
