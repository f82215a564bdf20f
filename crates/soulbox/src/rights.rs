//! By which right this program maps ids: root's, or an ordinary user's.
//!
//! Owns what is to be done before anything else, while the process has one thread, and what the engine is told of it.

use anyhow::Context;
use soulbox_engine::{EngineConfig, IdSupply, Rights};
use soulbox_sandbox::{SubordinateIds, make_state_dir};

/// Prepares this process for an engine with this configuration, and completes that. An ordinary user's process is
/// root of a user namespace from here on, and sees all ids but the user's own ones as those of nobody. Tells a person
/// what it is now.
pub(crate) fn take(config: &mut EngineConfig) -> anyhow::Result<String> {
    if Rights::of_root().is_some() {
        return Ok("root, to make cgroups and map ids; sandboxes never are".to_owned());
    }
    let ids = SubordinateIds::find(IdSupply::OF_ORDINARY_USER)?;
    make_state_dir(&config.state_dir, Rights::UserNamespace)?;
    ids.enter(EngineConfig::FIRST_HOST_ID)?;
    config.rights = Rights::UserNamespace;
    config.ids = IdSupply::of_ordinary_user(EngineConfig::FIRST_HOST_ID, ids.count());
    let (user, count, first) = (ids.user(), ids.count(), ids.first());
    Ok(format!(
        "{user}, an ordinary user with {count} subordinate ids, from {first} on; sandboxes have ids of these"
    ))
}

/// Refuses what only root can do: a stored bundle's files belong to ids of the host that no user has.
pub(crate) fn need_root(what: &str) -> anyhow::Result<()> {
    Rights::of_root().map(drop).with_context(|| {
        format!("{what} needs root: the files of a stored bundle belong to host ids that an ordinary user does not have")
    })
}
