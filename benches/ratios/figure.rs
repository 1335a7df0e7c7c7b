//! A figure: what was measured, against what, what came of it, and what had to.

use super::measure::Spread;

/// What a figure is a number of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// So many times the reference.
    Times,
    /// Milliseconds.
    Millis,
    /// Mebibytes.
    Mebibytes,
    /// Megabytes.
    Megabytes,
    /// The exponent of a growth.
    Exponent,
    /// A count.
    Count,
}

impl Unit {
    /// How a number of it is written.
    pub fn word(self) -> &'static str {
        match self {
            Self::Times => "×",
            Self::Millis => "ms",
            Self::Mebibytes => "MiB",
            Self::Megabytes => "MB",
            Self::Exponent => "exponent",
            Self::Count => "",
        }
    }

    /// A number of it, in words.
    pub fn write(self, number: f64) -> String {
        match self {
            Self::Times => format!("{number:.2} ×"),
            Self::Millis if number.abs() < 10.0 => format!("{number:.2} ms"),
            Self::Exponent => format!("{number:.2}"),
            Self::Count => format!("{number:.0}"),
            Self::Millis | Self::Mebibytes | Self::Megabytes => {
                format!("{number:.1} {}", self.word())
            }
        }
    }
}

/// What a figure has to keep to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Goal {
    /// It must not exceed this.
    AtMost(f64),
    /// It must reach this.
    AtLeast(f64),
    /// It is only told.
    Told,
}

impl Goal {
    /// Whether this number keeps to it; nothing where there is nothing to keep to.
    pub fn is_held(self, number: f64) -> Option<bool> {
        match self {
            Self::AtMost(limit) => Some(number <= limit),
            Self::AtLeast(limit) => Some(number >= limit),
            Self::Told => None,
        }
    }

    /// The part of the goal that is used up: up to 1 it is held.
    pub fn share(self, number: f64) -> Option<f64> {
        match self {
            Self::AtMost(limit) => Some(number / limit),
            Self::AtLeast(limit) => Some(limit / number),
            Self::Told => None,
        }
    }

    /// The goal in words.
    pub fn write(self, unit: Unit) -> String {
        match self {
            Self::AtMost(limit) => format!("≤ {}", unit.write(limit)),
            Self::AtLeast(limit) => format!("≥ {}", unit.write(limit)),
            Self::Told => "–".to_owned(),
        }
    }
}

/// One row of the table.
#[derive(Debug, Clone)]
pub struct Figure {
    /// `P1`, and what belongs to it.
    pub name: &'static str,
    /// What was measured.
    pub subject: String,
    /// What it was measured against.
    pub reference: String,
    /// What the numbers are.
    pub unit: Unit,
    /// What came of it, or why nothing could.
    pub found: Result<Spread, String>,
    /// What it has to keep to.
    pub goal: Goal,
    /// The absolute figures beside it, in words; they prove nothing about another machine.
    pub absolute: String,
}

impl Figure {
    /// A row for what cannot be measured here.
    pub fn missing(name: &'static str, subject: &str, reference: &str, why: &str) -> Self {
        Self {
            name,
            subject: subject.to_owned(),
            reference: reference.to_owned(),
            unit: Unit::Times,
            found: Err(why.to_owned()),
            goal: Goal::Told,
            absolute: String::new(),
        }
    }

    /// Whether the goal is held; nothing where there is none or nothing was measured.
    pub fn is_held(&self) -> Option<bool> {
        let found = self.found.as_ref().ok()?;
        self.goal.is_held(found.median)
    }

    /// The same in a word.
    pub fn verdict(&self) -> &'static str {
        match (&self.found, self.is_held()) {
            (Err(_), _) => "not measured",
            (_, Some(true)) => "held",
            (_, Some(false)) => "NOT HELD",
            (_, None) => "–",
        }
    }
}
