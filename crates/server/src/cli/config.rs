//! `gatewright config`

use super::{Failure, io};
use crate::settings::{Purpose, Settings, SettingsFlags, Sources};

pub(super) fn config(flags: &SettingsFlags, json: bool) -> Result<(), Failure> {
    let settings = Settings::load(flags, &Sources::of_process(), Purpose::Command)?;
    let rows = settings.rows();
    if json {
        let text = serde_json::to_string_pretty(rows);
        return io::print(&text.map_err(|error| Failure::Failed(error.to_string()))?);
    }
    let width = |text: fn(&crate::settings::Row) -> usize| rows.iter().map(text).max().unwrap_or(0);
    let names = width(|row| row.name.len());
    let values = width(|row| row.value.len());
    for row in rows {
        let source = row.source.to_string();
        io::print(&format!(
            "{:names$}  {:values$}  {source}",
            row.name, row.value
        ))?;
    }
    Ok(())
}
