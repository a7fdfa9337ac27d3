//! What the command line says: `--name value`, or `--name` alone.
use std::collections::HashMap;

use crate::Failure;

pub struct Flags(HashMap<String, String>);

impl Flags {
    pub fn of_command_line() -> Self {
        let mut words = std::env::args().skip(1).peekable();
        let mut flags = HashMap::new();
        while let Some(name) = words.next() {
            let value = words.next_if(|word| !word.starts_with('-')).unwrap_or_default();
            flags.insert(name.trim_start_matches('-').to_string(), value);
        }
        Flags(flags)
    }

    pub fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// 0 where it is not given.
    pub fn number(&self, name: &str) -> Result<usize, Failure> {
        let text = self.text(name).unwrap_or("0");
        text.parse().map_err(|_| format!("--{name} {text}: not a number").into())
    }
}
