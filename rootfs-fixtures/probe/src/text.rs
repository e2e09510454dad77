//! Verbs that write and read text.

use std::io::{self, BufWriter, Write};
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;
use std::{env, fs, thread};

use crate::{Outcome, Usage, optional, required};

/// `print TEXT...`: the arguments with a space between, and a newline.
pub fn print(args: &[String]) -> Outcome {
    println!("{}", args.join(" "));
    Ok(0)
}

/// `flood BYTES [LINE_LENGTH]`: exactly that many bytes of numbered lines; the last line may be short but ends too.
/// Says on standard error how much it wrote.
pub fn flood(args: &[String]) -> Outcome {
    let bytes: usize = required(args, 0)?;
    let length = optional(args, 1)?.unwrap_or(100).max(1);
    let mut out = BufWriter::with_capacity(1 << 16, io::stdout().lock());
    let (mut left, mut lines) = (bytes, 0_usize);
    while left > 0 {
        let size = length.min(left);
        let mut line = format!("{lines:012} ").into_bytes();
        line.resize(size.max(1), b'.');
        line[size - 1] = b'\n';
        out.write_all(&line)?;
        left -= size;
        lines += 1;
    }
    out.flush()?;
    eprintln!("bytes={bytes} lines={lines}");
    Ok(0)
}

/// `lines N [DELAY_MS]`: `line 1` to `line N`.
pub fn lines(args: &[String]) -> Outcome {
    let number: u64 = required(args, 0)?;
    let delay = Duration::from_millis(optional(args, 1)?.unwrap_or(0));
    for line in 1..=number {
        println!("line {line}");
        thread::sleep(delay);
    }
    Ok(0)
}

/// `env`: the environment as it came, one variable a line.
pub fn env(_: &[String]) -> Outcome {
    let mut out = io::stdout().lock();
    for (name, value) in env::vars_os() {
        out.write_all(&[name.as_bytes(), b"=", value.as_bytes(), b"\n"].concat())?;
    }
    Ok(0)
}

/// `write FILE TEXT`: makes or replaces a file.
pub fn write(args: &[String]) -> Outcome {
    let [file, text] = args else { return Err(Usage.into()) };
    fs::write(file, format!("{text}\n")).map_err(|error| format!("{file}: {error}"))?;
    Ok(0)
}

/// `cat FILE`
pub fn cat(args: &[String]) -> Outcome {
    let file: String = required(args, 0)?;
    let mut from = fs::File::open(&file).map_err(|error| format!("{file}: {error}"))?;
    io::copy(&mut from, &mut io::stdout().lock()).map_err(|error| format!("{file}: {error}"))?;
    Ok(0)
}
