//! A prompt on the terminal, whose answer is not shown.
//!
//! The echo is off before the prompt is there, so that whoever is quick is not
//! seen, and on again after Ctrl-C; the libraries looked at do neither.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};

use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios};
use rustix::termios::{tcgetattr, tcsetattr};
use zeroize::Zeroizing;

/// Asks for a line of at most `most` bytes, with its end; `None` if it was
/// interrupted.
pub(super) fn ask(what: &str, most: usize) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
    let mut terminal = Hidden::open()?;
    write!(terminal.file, "{what}: ")?;
    let mut line = Zeroizing::new(vec![0; most]);
    // The terminal hands out a line at a time, as its user has mended it.
    let length = terminal.file.read(&mut line)?;
    line.truncate(length);
    // The user's own line break was not shown either.
    writeln!(terminal.file)?;
    Ok(if line.last() == Some(&terminal.interrupt()) { None } else { Some(line) })
}

/// The terminal, which shows nothing of what is typed until this is dropped.
struct Hidden {
    file: File,
    before: Termios,
}

impl Hidden {
    fn open() -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).open("/dev/tty")?;
        let hidden = Self { before: tcgetattr(&file)?, file };
        let mut modes = hidden.before.clone();
        // The signal of Ctrl-C would end the process before the drop: it ends
        // the line instead.
        modes.local_modes.remove(LocalModes::ECHO | LocalModes::ECHONL | LocalModes::ISIG);
        modes.local_modes.insert(LocalModes::ICANON);
        modes.special_codes[SpecialCodeIndex::VEOL] = hidden.interrupt();
        tcsetattr(&hidden.file, OptionalActions::Now, &modes)?;
        Ok(hidden)
    }

    fn interrupt(&self) -> u8 {
        self.before.special_codes[SpecialCodeIndex::VINTR]
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        // There is nobody to tell.
        tcsetattr(&self.file, OptionalActions::Now, &self.before).ok();
    }
}
