//! The suite that the program carries: all files of `tests/hostile`.

use std::collections::BTreeSet;

use include_dir::{Dir, File, include_dir};

use crate::attack::{Attack, Group};
use crate::error::SuiteError;
use crate::header::parse;

static HOSTILE: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/../../tests/hostile");

/// Programs that only attend an attack.
const COMPANIONS: &str = "companions";

/// All attacks, by group and name.
///
/// # Errors
/// [`SuiteError`] for the first file that is not as it must be.
pub fn suite() -> Result<Vec<Attack>, SuiteError> {
    let companion = |name: &str| HOSTILE.get_file(format!("{COMPANIONS}/{name}"))?.contents_utf8();
    let (mut attacks, mut names) = (Vec::new(), BTreeSet::new());
    for directory in HOSTILE.dirs().filter(|directory| directory.path().as_os_str() != COMPANIONS) {
        let place = || directory.path().display().to_string();
        let group: Group = directory
            .path()
            .to_str()
            .and_then(|name| name.parse().ok())
            .ok_or_else(|| SuiteError::Place(place()))?;
        for file in directory.files() {
            let attack = parse(group, &file_name(file), text(file)?, &companion)?;
            if !names.insert(attack.name.clone()) {
                return Err(SuiteError::NameTwice(file.path().display().to_string()));
            }
            attacks.push(attack);
        }
    }
    attacks.sort_by(|a, b| (a.group, &a.name).cmp(&(b.group, &b.name)));
    Ok(attacks)
}

fn file_name(file: &File<'static>) -> String {
    file.path().file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn text(file: &'static File<'static>) -> Result<&'static str, SuiteError> {
    file.contents_utf8().ok_or_else(|| SuiteError::NotText(file.path().display().to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_an_attack_and_there_are_many_of_each_group() {
        let attacks = suite().unwrap_or_else(|error| panic!("{error}"));
        assert!(attacks.len() >= 60, "{}", attacks.len());
        for group in Group::ALL {
            let count = attacks.iter().filter(|attack| attack.group == group).count();
            assert!(count >= 5, "{count} of {group}");
        }
    }

    #[test]
    fn every_companion_attends_an_attack() {
        let sources: String = suite().unwrap().iter().map(|attack| attack.source).collect();
        for file in HOSTILE.get_dir(COMPANIONS).unwrap().files() {
            let name = file_name(file);
            assert!(sources.contains(&format!(": {name}\n")), "{name} is nobody's companion");
        }
    }
}
