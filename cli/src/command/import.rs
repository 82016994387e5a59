//! `import`.

mod csv;
mod head;
mod lines;
mod report;
mod row;

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use tokio::task::JoinHandle;
use tower_api_token::audit::AuditEntry;
use tower_api_token::manage::{ImportItem, ManageError};
use tower_api_token::user::UserId;

use self::lines::{Line, Lines};
use self::report::{Progress, Report};
use self::row::{Reader, RowError};
use crate::failure::Failure;
use crate::secret;
use crate::world::World;

/// How many rows are written in one transaction. Rows of one user that follow
/// each other stay together, up to twice as many.
const BATCH: usize = 10_000;

/// Import tokens that exist already, so that they go on working.
///
/// Each line is one token. CSV has a first line with the names of the columns;
/// JSON lines have objects with the same names:
///
///   user      whose token it is
///   methods   the methods to grant, separated by spaces (CSV) or in a list
///             (JSON); without any, the user's methods stay as they are
///   slot      primary (the default) or backup
///   token     the token itself, or
///   sha256    its SHA-256 as 64 hexadecimal digits: you vouch that the token
///             can't be guessed, and set `tokens.accept-foreign = true`
///
/// A field that is empty counts as absent, also "" and [] in JSON.
///
/// Every refused line is reported with its number, and the others are imported.
/// An import that was interrupted is started again: what is there already is
/// counted and left alone. It goes on where nobody reads its output. Tokens of
/// other systems, and digests, whose token may be of any form, need
/// `tokens.accept-foreign = true` in the settings, here and where it is served.
/// A dry run decides by what the store holds now, so it finds a line that
/// repeats another's token only where both stand near each other.
#[derive(Args, Debug)]
#[command(
    verbatim_doc_comment,
    after_help = "Example:\n  tower-api-token import tokens.csv --dry-run\n  \
                  tower-api-token import tokens.csv"
)]
pub(crate) struct ImportArguments {
    /// The file, or - for the standard input.
    file: PathBuf,
    /// csv or jsonl; by default what the file's name ends with.
    #[arg(long, value_name = "FORMAT")]
    format: Option<Format>,
    /// Say what would become of each line, and write nothing.
    #[arg(long)]
    dry_run: bool,
}

/// What the lines of a file are.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Format {
    Csv,
    Jsonl,
}

pub(crate) async fn run(arguments: &ImportArguments, world: &World) -> Result<(), Failure> {
    let path = &arguments.file;
    let format = match (arguments.format, path.extension().and_then(|end| end.to_str())) {
        (Some(format), _) => format,
        (None, Some("csv")) => Format::Csv,
        (None, Some("jsonl" | "ndjson")) => Format::Jsonl,
        (None, _) => return Err(Failure::Format),
    };
    let failed = |source| Failure::Input { path: path.clone(), source };
    let (input, size, public) = open(path).map_err(failed)?;
    let mut lines = Lines::new(input);
    let mut reader = Reader::new(format, &mut lines, path)?;
    let mut import = Import {
        world,
        dry_run: arguments.dry_run,
        batch: Vec::new(),
        writing: None,
        report: Report::new(world.output, Progress::new(world.output, size), arguments.dry_run),
    };
    let done = import.read(&mut lines, &mut reader, path).await;
    // What was begun is told of, whatever has become of the rest.
    let last = import.finish().await;
    if public && reader.has_seen_token() {
        world.output.note("warning: others can read this file, and tokens stand in it");
    }
    import.report.end(done.and(last))
}

/// The input, its size if that is known, and whether others can read it.
fn open(path: &Path) -> io::Result<(Box<dyn Read>, Option<u64>, bool)> {
    if path == Path::new("-") {
        return Ok((Box::new(io::stdin()), None, false));
    }
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    let size = metadata.is_file().then_some(metadata.len());
    let public = secret::refuse_if_public("import", path, &file).is_err();
    Ok((Box::new(file), size, public))
}

/// An import that is under way.
struct Import<'a> {
    world: &'a World,
    dry_run: bool,
    batch: Vec<Row>,
    writing: Option<Writing>,
    report: Report,
}

/// A line's number, and what it says.
type Row = (u64, Result<ImportItem, RowError>);

/// What became of each item.
type Answers = Result<Vec<Result<AuditEntry, ManageError>>, ManageError>;

/// A batch that is being written.
struct Writing {
    rows: Vec<(u64, Result<(), RowError>)>,
    about: About,
    bytes: u64,
    task: JoinHandle<Answers>,
}

/// Whom and what a batch is about.
struct About {
    users: HashSet<UserId>,
    /// By their SHA-256.
    tokens: HashSet<[u8; 32]>,
}

impl About {
    fn of(items: &[ImportItem]) -> Self {
        let users = items.iter().map(|item| item.user.clone()).collect();
        let tokens = items.iter().map(|item| item.token.sha256()).collect();
        Self { users, tokens }
    }

    fn overlaps(&self, next: &Self) -> bool {
        !(self.users.is_disjoint(&next.users) && self.tokens.is_disjoint(&next.tokens))
    }
}

impl Import<'_> {
    /// Has the lines written as they come. Those before one that cannot be read
    /// are imported.
    async fn read(
        &mut self,
        lines: &mut Lines,
        reader: &mut Reader,
        path: &Path,
    ) -> Result<(), Failure> {
        let broken = loop {
            let line = match lines.next_line() {
                Ok(Some(line)) => line,
                Ok(None) => break None,
                Err(source) => break Some(source),
            };
            let row = match &line {
                Line::Text(text) if text.is_empty() => continue,
                Line::Text(text) => reader.row(text),
                Line::TooLong => Err(RowError::TooLong),
            };
            if self.is_full_before(&row) {
                self.write(lines.bytes()).await?;
            }
            self.batch.push((lines.number(), row));
        };
        self.write(lines.bytes()).await?;
        self.finish().await?;
        let Some(source) = broken else { return Ok(()) };
        let (path, line) = (path.to_owned(), lines.number() + 1);
        if line == 1 {
            return Err(Failure::Input { path, source });
        }
        self.report.stopped(line);
        Err(Failure::InputBroken { path, line, source })
    }

    fn is_full_before(&self, row: &Result<ImportItem, RowError>) -> bool {
        let user = |row: &Result<ImportItem, RowError>| row.as_ref().ok().map(|it| it.user.clone());
        let follows = || match self.batch.last() {
            Some((_, last)) => user(last).is_some() && user(last) == user(row),
            None => false,
        };
        self.batch.len() >= 2 * BATCH || (self.batch.len() >= BATCH && !follows())
    }

    /// Has what was read written. While one batch is written the next is
    /// planned and may be written first, unless both are about one user or
    /// token: it would be judged by what was before.
    async fn write(&mut self, bytes: u64) -> Result<(), Failure> {
        let rows = std::mem::take(&mut self.batch);
        let mut items = Vec::with_capacity(rows.len());
        let rows = rows.into_iter().map(|(number, row)| (number, row.map(|item| items.push(item))));
        let rows = rows.collect();
        let about = About::of(&items);
        if self.writing.as_ref().is_some_and(|before| before.about.overlaps(&about)) {
            self.finish().await?;
        }
        let (manager, actor) = (self.world.manager.clone(), self.world.actor.clone());
        let dry_run = self.dry_run;
        let task = tokio::spawn(async move {
            if dry_run {
                manager.rehearse_import(&actor, &items).await
            } else {
                manager.import_many(&actor, &items).await
            }
        });
        let before = self.writing.replace(Writing { rows, about, bytes, task });
        self.tell(before).await
    }

    async fn finish(&mut self) -> Result<(), Failure> {
        let last = self.writing.take();
        self.tell(last).await
    }

    /// Waits for a batch that is being written, and tells of each line in its
    /// order.
    async fn tell(&mut self, batch: Option<Writing>) -> Result<(), Failure> {
        let Some(Writing { rows, bytes, task, .. }) = batch else { return Ok(()) };
        let first = rows.first().map_or(1, |(number, _)| *number);
        let answers = task.await.map_err(|_| Failure::Unanswered);
        let answers = answers.and_then(|answers| Ok(answers?));
        let mut answers = answers.inspect_err(|_| self.report.stopped(first))?.into_iter();
        for (number, row) in rows {
            match row {
                Err(error) => self.report.refused(number, &error.to_string()),
                Ok(()) => {
                    let answer = answers.next().ok_or(Failure::Unanswered)?;
                    self.report.answered(number, answer);
                }
            }
        }
        self.report.progress(bytes);
        Ok(())
    }
}
