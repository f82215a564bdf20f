//! What images say of themselves: manifests, indexes, configurations, references, platforms, names of entries; and what
//! the helper says that has unpacked one.

#![no_main]

use std::path::{Component, Path};
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use soulbox_image::{Platform, Source, fuzzing};

static PLATFORM: LazyLock<Platform> = LazyLock::new(|| "linux/amd64".parse().expect("it is a platform"));

fuzz_target!(|bytes: &[u8]| {
    let _ = fuzzing::manifest(bytes, &PLATFORM);
    for layers in [0, 1, 2] {
        let Ok(settings) = fuzzing::configuration(bytes, layers, &PLATFORM) else { continue };
        assert!(settings.working_directory.starts_with('/'));
        let words = settings.command.iter().chain([&settings.user, &settings.working_directory]);
        let variables = settings.environment.iter().flat_map(|(name, value)| [name, value]);
        assert!(words.chain(variables).all(|word| !word.contains('\0')));
        assert!(settings.environment.iter().all(|(name, _)| !name.is_empty() && !name.contains('=')));
    }
    if let Ok(written) = fuzzing::helper_report(bytes) {
        assert_eq!(fuzzing::helper_report(&written).expect("it was a report"), written);
    }
    for path in [fuzzing::entry_path(bytes), fuzzing::link_path(bytes)].into_iter().flatten() {
        stays_below_the_root(&path);
    }
    let Ok(text) = str::from_utf8(bytes) else { return };
    let _ = Source::registry(text, false);
    if let Ok(platform) = text.parse::<Platform>() {
        assert_eq!(platform.to_string(), text);
    }
});

fn stays_below_the_root(path: &Path) {
    let mut components = path.components();
    assert_eq!(components.next(), Some(Component::RootDir));
    assert!(components.all(|component| matches!(component, Component::Normal(_))), "{}", path.display());
    assert!(path.as_os_str().len() < 4096);
}
