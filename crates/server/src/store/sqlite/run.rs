//! One statement on one SQLite connection.

use rusqlite::{CachedStatement, Connection, ErrorCode};

use crate::store::statement::{Changed, DbError, Row, Statement, Value};

/// Runs one statement on `connection` and collects what it returns.
pub(super) fn run(connection: &Connection, statement: &Statement) -> rusqlite::Result<Changed> {
    let mut prepared = connection.prepare_cached(statement.sql)?;
    execute(&mut prepared, &statement.parameters)
}

/// Runs a prepared statement and collects what it returns.
pub(super) fn execute(
    prepared: &mut CachedStatement<'_>,
    parameters: &[Value],
) -> rusqlite::Result<Changed> {
    for (index, value) in parameters.iter().enumerate() {
        prepared.raw_bind_parameter(index + 1, value)?;
    }
    let columns = prepared.column_count();
    if columns == 0 {
        let count = prepared.raw_execute()? as u64;
        return Ok(Changed {
            count,
            rows: Vec::new(),
        });
    }
    let mut found = Vec::new();
    let mut rows = prepared.raw_query();
    while let Some(row) = rows.next()? {
        let mut values = Vec::with_capacity(columns);
        for index in 0..columns {
            values.push(row.get(index)?);
        }
        found.push(Row::Sqlite(values));
    }
    Ok(Changed {
        count: found.len() as u64,
        rows: found,
    })
}

/// Turns SQLite's word into ours.
pub(super) fn classify(error: rusqlite::Error) -> DbError {
    let Some(code) = error.sqlite_error().copied() else {
        return DbError::Defect(error.into());
    };
    if code.extended_code == rusqlite::ffi::SQLITE_CONSTRAINT_UNIQUE
        || code.extended_code == rusqlite::ffi::SQLITE_CONSTRAINT_PRIMARYKEY
    {
        return DbError::Unique(error.to_string());
    }
    match code.code {
        ErrorCode::DatabaseBusy
        | ErrorCode::DatabaseLocked
        | ErrorCode::DiskFull
        | ErrorCode::SystemIoFailure
        | ErrorCode::CannotOpen
        | ErrorCode::ReadOnly
        | ErrorCode::DatabaseCorrupt
        | ErrorCode::NotADatabase
        | ErrorCode::OutOfMemory
        | ErrorCode::OperationAborted
        | ErrorCode::FileLockingProtocolFailed => DbError::unavailable(error),
        _ => DbError::Defect(error.into()),
    }
}

/// Whether another connection is in the way for the moment.
pub(super) fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
    )
}
