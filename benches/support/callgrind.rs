//! Counting instructions: callgrind, which is part of valgrind, runs this same
//! program with the arguments `--serve CANDIDATE RUNS`.

use std::error::Error;
use std::fs;
use std::path::Path;
use std::process::Command;

/// Requests of one run: whole runs through the credentials, so that each run
/// does the same.
pub(crate) const REQUESTS: usize = 4_096;

/// What one request takes more with a candidate than with the bare service,
/// after the first run through the credentials, when every user has been seen.
pub(crate) fn added(candidate: &str) -> Result<i64, Box<dyn Error>> {
    Ok(instructions(candidate)? - instructions("bare")?)
}

/// The instructions of one request, or of whatever else a candidate repeats.
pub(crate) fn instructions(candidate: &str) -> Result<i64, Box<dyn Error>> {
    let (one, three) = (count(candidate, 1)?, count(candidate, 3)?);
    Ok((three - one) / (2 * REQUESTS as i64))
}

fn count(candidate: &str, runs: usize) -> Result<i64, Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("callgrind.out");
    let status = Command::new("valgrind")
        .args(["--quiet", "--tool=callgrind"])
        .arg(format!("--callgrind-out-file={}", file.display()))
        .arg(std::env::current_exe()?)
        .args(["--serve", candidate, &runs.to_string()])
        .status()
        .map_err(|error| format!("valgrind cannot be run ({error}): install it"))?;
    if !status.success() {
        return Err(format!("callgrind failed: {status}").into());
    }
    total(&file)
}

fn total(file: &Path) -> Result<i64, Box<dyn Error>> {
    let report = fs::read_to_string(file)?;
    let total = report.lines().find_map(|line| line.strip_prefix("totals: "));
    Ok(total.ok_or("callgrind wrote no total")?.trim().parse()?)
}

/// What the layer took over the floor when somebody last agreed to it, in a
/// file beside the benchmarks.
pub(crate) struct Accepted(pub(crate) &'static str);

impl Accepted {
    /// Takes a count for the new one.
    pub(crate) fn replace(&self, over: i64) -> Result<(), Box<dyn Error>> {
        Ok(fs::write(self.0, format!("{over}\n"))?)
    }

    /// Fails when a count has grown by more than 5 % of the floor.
    pub(crate) fn check(&self, over: i64, floor: i64) -> Result<(), Box<dyn Error>> {
        let accepted: i64 = fs::read_to_string(self.0)?.trim().parse()?;
        let limit = accepted + floor / 20;
        if over > limit {
            let accepted = format!("{accepted} were accepted, {limit} are the limit");
            return Err(format!("{over} instructions over the floor: {accepted}").into());
        }
        Ok(())
    }
}
