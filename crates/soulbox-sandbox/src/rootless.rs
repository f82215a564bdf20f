//! Root without root: the ids that an ordinary user has beside their own, and the user namespace in which this
//! process is root of them and of nothing else.
//!
//! Owns what subuid(5) and subgid(5) say of the user, and the one step into the namespace, which newuidmap(1) and
//! newgidmap(1) help with. What comes after needs no other code than root's: containers get user namespaces of
//! their own below this one.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use nix::sched::{CloneFlags, unshare};
use nix::unistd::{Uid, User, getgid, getuid, setgroups};

use crate::command_container::HostIds;

/// The hidden command of the `soulbox` program that runs [`map_main`].
pub const MAP_COMMAND: &str = "map-ids";

/// What the operator's tools hand out first, when no range is taken yet (useradd(8), `SUB_UID_MIN`).
const FIRST_SUBORDINATE_ID: u32 = 100_000;

/// What useradd(8) gives each user (`SUB_UID_COUNT`).
const USUAL_COUNT: u32 = 1 << 16;

/// Lines of the kernel's map of ids (user_namespaces(7)), less the one for the user's own id.
const MAX_RANGES: usize = 339;

/// By which right this process maps ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rights {
    /// It is root of the host, or of the container that the host is.
    Root,
    /// It is root of a user namespace of its own, with an ordinary user's subordinate ids. Ids that are not the
    /// user's look all the same there, root's included.
    UserNamespace,
}

impl Rights {
    /// Those of a process that has entered nothing yet: `None` for an ordinary user's.
    pub fn of_root() -> Option<Self> {
        nix::unistd::geteuid().is_root().then_some(Rights::Root)
    }
}

/// An ordinary user who cannot have a user namespace with ids.
#[derive(Debug, thiserror::Error)]
pub enum RootlessError {
    /// No ids, or too few.
    #[error(
        "{user} has {count} subordinate ids in {file}, and each container needs {needed} in a row: as root, {remedy}"
    )]
    TooFewIds {
        /// The user's name, or else the uid.
        user: String,
        /// How many there are.
        count: u32,
        /// How many there must be in one range.
        needed: u32,
        /// Where they are looked for.
        file: &'static str,
        /// The command that adds some.
        remedy: String,
    },
    /// A program that maps ids is not installed.
    #[error("{0} is not installed, with which an ordinary user maps ids: apt-get install uidmap")]
    NoProgram(&'static str),
    /// The host lets no ordinary user make a user namespace.
    #[error(
        "the host lets {0} make no user namespace: look at the sysctls user.max_user_namespaces, kernel.unprivileged_userns_clone and kernel.apparmor_restrict_unprivileged_userns"
    )]
    NoNamespace(String, #[source] io::Error),
    /// The programs that map ids did not.
    #[error("the subordinate ids cannot be mapped: {0}")]
    Map(String),
    /// The process that calls those programs could not be run.
    #[error("cannot run the helper that maps ids")]
    Helper(#[source] io::Error),
}

/// The subordinate ids of the user that this process is.
#[derive(Clone, Debug)]
pub struct SubordinateIds {
    user: String,
    /// As many of each range as whole containers can have.
    uids: Vec<HostIds>,
    gids: Vec<HostIds>,
}

impl SubordinateIds {
    /// Finds those that containers can have which need so many each. The ids of one must be in one range, since the
    /// kernel maps them from one.
    ///
    /// # Errors
    /// [`RootlessError::TooFewIds`].
    pub fn find(per_container: u32) -> Result<Self, RootlessError> {
        let uid = getuid();
        let name = User::from_uid(uid).ok().flatten().map(|user| user.name);
        let of_file = |file: &'static str, option: &str| {
            let text = fs::read_to_string(file).unwrap_or_default();
            let ranges = ranges_of(&text, name.as_deref(), uid);
            let usable = in_multiples_of(per_container, &ranges);
            if !usable.is_empty() {
                return Ok(usable);
            }
            let (count, needed) = (count_of(&ranges), per_container);
            let user = name.clone().unwrap_or_else(|| uid.to_string());
            let first = first_free(&text);
            let remedy = format!("usermod {option} {first}-{} {user}", first + (USUAL_COUNT - 1));
            Err(RootlessError::TooFewIds { user, count, needed, file, remedy })
        };
        let uids = of_file("/etc/subuid", "--add-subuids")?;
        let gids = of_file("/etc/subgid", "--add-subgids")?;
        Ok(SubordinateIds { user: name.clone().unwrap_or_else(|| uid.to_string()), uids, gids })
    }

    /// How many there are of either kind.
    pub fn count(&self) -> u32 {
        count_of(&self.uids).min(count_of(&self.gids))
    }

    /// The user's name, or else the uid.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The first host uid.
    pub fn first(&self) -> u32 {
        self.uids.first().map_or(0, |range| range.first)
    }

    /// Makes this process root of a new user namespace, in which 0 is the user and the ids from `first` on are the
    /// subordinate ones. It has no thread yet. The groups of the user stay behind, and from here on new files can
    /// be read by all, which containers need that are other users.
    ///
    /// # Errors
    /// [`RootlessError`]; the process is of no use then.
    pub fn enter(&self, first: u32) -> Result<(), RootlessError> {
        let (newuidmap, newgidmap) = (find_program("newuidmap")?, find_program("newgidmap")?);
        // newuidmap is to be called from outside of the namespace, by another process than the one that is inside.
        let mut helper = Command::new("/proc/self/exe")
            .arg(MAP_COMMAND)
            .arg(std::process::id().to_string())
            .arg(newuidmap)
            .arg(map_arguments(&self.uids, getuid().as_raw(), first, self.count()))
            .arg(newgidmap)
            .arg(map_arguments(&self.gids, getgid().as_raw(), first, self.count()))
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(RootlessError::Helper)?;
        let refused = |error: io::Error| RootlessError::NoNamespace(self.user.clone(), error);
        let made = unshare(CloneFlags::CLONE_NEWUSER);
        if let (Ok(()), Some(stdin)) = (made, &mut helper.stdin) {
            stdin.write_all(b"\n").map_err(RootlessError::Helper)?;
        }
        // Without that line it ends at once.
        let mapped = helper.wait_with_output().map_err(RootlessError::Helper)?;
        made.map_err(|errno| refused(errno.into()))?;
        if !mapped.status.success() {
            return Err(RootlessError::Map(String::from_utf8_lossy(&mapped.stderr).trim().to_owned()));
        }
        // Containers map theirs to these, and have to (see `close_project_ids` of the zygote).
        fs::write("/proc/self/projid_map", "0 0 1\n").map_err(refused)?;
        // Refused where the host gives no rights in the namespace, whatever its maps say.
        setgroups(&[]).map_err(|errno| refused(errno.into()))?;
        Ok(())
    }
}

/// The ranges that a file gives to a user, by name or number, lowest first and without what is there twice.
fn ranges_of(text: &str, name: Option<&str>, uid: Uid) -> Vec<HostIds> {
    let uid = uid.to_string();
    let mut ranges: Vec<HostIds> = lines(text)
        .filter(|(owner, _)| Some(*owner) == name || *owner == uid)
        .map(|(_, range)| range)
        .collect();
    ranges.sort_by_key(|range| range.first);
    let mut end = 0;
    for range in &mut ranges {
        let overlap = end.max(range.first) - range.first;
        range.first += overlap.min(range.count);
        range.count = range.count.saturating_sub(overlap);
        end = end.max(range.first + range.count);
    }
    ranges.retain(|range| range.count > 0);
    ranges.truncate(MAX_RANGES);
    ranges
}

/// The first part of each range that is a multiple of so many.
fn in_multiples_of(size: u32, ranges: &[HostIds]) -> Vec<HostIds> {
    let usable = ranges.iter().map(|range| HostIds { count: range.count - range.count % size, ..*range });
    usable.filter(|range| range.count > 0).collect()
}

/// The lines of subuid(5) that can be understood: who has it, and the range.
fn lines(text: &str) -> impl Iterator<Item = (&str, HostIds)> {
    text.lines().filter_map(|line| {
        let (owner, range) = line.trim().split_once(':')?;
        let (first, count) = range.split_once(':')?;
        let (first, count): (u32, u32) = (first.parse().ok()?, count.parse().ok()?);
        first.checked_add(count)?;
        Some((owner, HostIds { first, count }))
    })
}

fn count_of(ranges: &[HostIds]) -> u32 {
    ranges.iter().map(|range| range.count).sum()
}

/// The first id that no line gives to anybody, with none after it that is.
fn first_free(text: &str) -> u32 {
    let ends = lines(text).map(|(_, range)| range.first + range.count);
    ends.max().unwrap_or_default().clamp(FIRST_SUBORDINATE_ID, u32::MAX - USUAL_COUNT)
}

/// The arguments of newuidmap(1) after the pid, in one: for 0 the user, and from `first` on `count` of the ranges.
fn map_arguments(ranges: &[HostIds], own: u32, first: u32, count: u32) -> String {
    let mut text = format!("0 {own} 1");
    let mut mapped = 0;
    for range in ranges {
        let part = range.count.min(count - mapped);
        if part > 0 {
            text += &format!(" {} {} {part}", first + mapped, range.first);
            mapped += part;
        }
    }
    text
}

fn find_program(name: &'static str) -> Result<PathBuf, RootlessError> {
    let path = std::env::var_os("PATH").unwrap_or_else(|| OsString::from("/usr/bin:/bin"));
    let mut candidates = std::env::split_paths(&path).map(|directory| directory.join(name));
    candidates.find(|program| program.is_file()).ok_or(RootlessError::NoProgram(name))
}

/// The helper of [`SubordinateIds::enter`]: waits for a line, then maps the ids of the process that it was started
/// by. The arguments are that process's pid, and twice a program and the words of a map.
pub fn map_main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args: Vec<OsString> = args.into_iter().collect();
    let [pid, newuidmap, uids, newgidmap, gids] = args.as_slice() else { return ExitCode::FAILURE };
    if !matches!(io::stdin().read(&mut [0]), Ok(1)) {
        return ExitCode::FAILURE;
    }
    let mapped = [(newuidmap, uids), (newgidmap, gids)].into_iter().all(|(program, words)| {
        let words = words.to_string_lossy();
        let status = Command::new(program).arg(pid).args(words.split(' ')).status();
        match status {
            Ok(status) => status.success(),
            Err(error) => {
                // Nobody hears it when the process that asked is gone.
                let _ = writeln!(io::stderr(), "{}: {error}", Path::new(program).display());
                false
            }
        }
    });
    if mapped { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranges(text: &str) -> Vec<(u32, u32)> {
        let ranges = ranges_of(text, Some("me"), Uid::from_raw(1000));
        ranges.into_iter().map(|range| (range.first, range.count)).collect()
    }

    #[test]
    fn a_user_is_meant_by_name_or_number() {
        let text = "you:100000:65536\nme:165536:100\n1000:300000:50\n# me:1:1\nme:x:1\nme:4294967295:2\n";
        assert_eq!(ranges(text), [(165_536, 100), (300_000, 50)]);
        assert_eq!(ranges("you:1:1\n"), []);
    }

    #[test]
    fn what_is_there_twice_counts_once() {
        assert_eq!(
            ranges("me:1000:100\n1000:1000:100\nme:1050:100\nme:1060:10\n"),
            [(1000, 100), (1100, 50)]
        );
    }

    #[test]
    fn no_container_gets_ids_of_two_ranges() {
        let ranges = [(100, 25), (500, 9), (700, 10)].map(|(first, count)| HostIds { first, count });
        let usable: Vec<_> =
            in_multiples_of(10, &ranges).iter().map(|range| (range.first, range.count)).collect();
        assert_eq!(usable, [(100, 20), (700, 10)]);
    }

    #[test]
    fn ranges_are_mapped_one_after_the_other() {
        let ranges = [HostIds { first: 100, count: 10 }, HostIds { first: 500, count: 10 }];
        assert_eq!(map_arguments(&ranges, 1000, 7000, 15), "0 1000 1 7000 100 10 7010 500 5");
        assert_eq!(map_arguments(&ranges, 1000, 7000, 10), "0 1000 1 7000 100 10");
    }

    #[test]
    fn the_range_that_is_proposed_is_nobodys() {
        assert_eq!(first_free(""), 100_000);
        assert_eq!(first_free("you:100000:65536\nother:5:1\n"), 165_536);
    }
}
