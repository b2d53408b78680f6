//! Statements, their parameters and what they bring back, in one form for two databases.

use bytes::BytesMut;
use rusqlite::types::{FromSql, ToSqlOutput, ValueRef};
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};
use uuid::Uuid;

type BoxedError = Box<dyn std::error::Error + Send + Sync>;

/// Why the database did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// It could not be reached, was too slow, was locked or full: the caller may come again.
    #[error("the database is not available")]
    Unavailable(#[source] BoxedError),
    /// A unique constraint refused the row; the text names the constraint or its column.
    #[error("unique constraint {0}")]
    Unique(String),
    /// Anything else: a defect in a statement or in the schema.
    #[error("the database refused a statement")]
    Defect(#[source] BoxedError),
}

impl DbError {
    pub(super) fn unavailable(cause: impl Into<BoxedError>) -> Self {
        Self::Unavailable(cause.into())
    }
}

/// A parameter of a statement.
#[derive(Clone, Debug)]
pub(super) enum Value {
    /// An id.
    Uuid(Uuid),
    /// Text.
    Text(String),
    /// Text that may be absent.
    OptionalText(Option<String>),
    /// A number, often Unix milliseconds.
    Int(i64),
}

impl From<Uuid> for Value {
    fn from(value: Uuid) -> Self {
        Self::Uuid(value)
    }
}
impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}
impl From<Option<&str>> for Value {
    fn from(value: Option<&str>) -> Self {
        Self::OptionalText(value.map(str::to_owned))
    }
}
impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl Value {
    pub(super) fn postgres_type(&self) -> Type {
        match self {
            Self::Uuid(_) => Type::UUID,
            Self::Text(_) | Self::OptionalText(_) => Type::TEXT,
            Self::Int(_) => Type::INT8,
        }
    }
}

impl ToSql for Value {
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, BoxedError> {
        match self {
            Self::Uuid(value) => value.to_sql(ty, out),
            Self::Text(value) => value.to_sql(ty, out),
            Self::OptionalText(value) => value.to_sql(ty, out),
            Self::Int(value) => value.to_sql(ty, out),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

impl rusqlite::ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        match self {
            Self::Uuid(value) => rusqlite::ToSql::to_sql(value),
            Self::Text(value) => rusqlite::ToSql::to_sql(value),
            Self::OptionalText(value) => rusqlite::ToSql::to_sql(value),
            Self::Int(value) => rusqlite::ToSql::to_sql(value),
        }
    }
}

/// One statement with its parameters.
#[derive(Clone, Debug)]
pub(super) struct Statement {
    pub(super) sql: &'static str,
    pub(super) parameters: Vec<Value>,
    pub(super) required: bool,
}

/// A statement: `$1..$n` first appear in ascending order, for SQLite numbers them by appearance.
#[must_use]
pub(super) fn sql<const N: usize>(sql: &'static str, parameters: [Value; N]) -> Statement {
    Statement {
        sql,
        parameters: parameters.into(),
        required: false,
    }
}

impl Statement {
    /// Rolls the whole transaction back unless this statement changes or returns a row.
    #[must_use]
    pub(super) fn required(mut self) -> Self {
        self.required = true;
        self
    }
}

/// A row of an answer, from either database.
#[derive(Debug)]
pub(super) enum Row {
    /// Values of an SQLite row.
    Sqlite(Vec<rusqlite::types::Value>),
    /// A PostgreSQL row.
    Postgres(tokio_postgres::Row),
}

/// A type that can be read from a column of either database.
pub(super) trait Column: FromSql + for<'a> tokio_postgres::types::FromSql<'a> {}
impl<T: FromSql + for<'a> tokio_postgres::types::FromSql<'a>> Column for T {}

impl Row {
    /// The value in column `index`, counted from 0.
    ///
    /// # Errors
    /// [`DbError::Defect`] when the column is missing or of another type.
    pub(super) fn get<T: Column>(&self, index: usize) -> Result<T, DbError> {
        match self {
            Self::Sqlite(values) => {
                let value = values.get(index).map_or(ValueRef::Null, ValueRef::from);
                T::column_result(value).map_err(|error| DbError::Defect(error.into()))
            }
            Self::Postgres(row) => row
                .try_get(index)
                .map_err(|error| DbError::Defect(error.into())),
        }
    }
}

/// What one statement did.
#[derive(Debug, Default)]
pub(super) struct Changed {
    /// How many rows it changed or returned.
    pub(super) count: u64,
    /// The rows it returned.
    pub(super) rows: Vec<Row>,
}

/// How a transaction ended.
#[derive(Debug)]
pub(super) enum Written {
    /// Committed; one entry for each statement.
    Committed(Vec<Changed>),
    /// Rolled back: the required statement at this index found nothing to change.
    RolledBack {
        /// Index of the statement, from 0.
        at: usize,
    },
}
