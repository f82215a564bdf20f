//! A bundle's folder: `soulbox.toml`, a NUL, `config.json`. What is accepted has commands, and stays a bundle when its
//! root file system becomes one of layers.

#![no_main]

use std::collections::BTreeMap;

use libfuzzer_sys::fuzz_target;
use soulbox_bundle::{Places, StartMode, fuzzing};

fuzz_target!(|text: &str| {
    let Some((recipe, config)) = text.split_once('\0') else { return };
    let folder = fuzzing::folder(recipe.to_owned(), config.to_owned());
    if let Ok(outline) = folder.outline() {
        let _ = outline.prepare_command("/usr/bin/x".as_ref(), "/files".as_ref());
        if let Some(debian) = outline.debian {
            let words = debian.packages.iter().chain(&debian.pip).chain(&debian.npm).chain([&debian.suite]);
            assert!(words.into_iter().all(|word| !word.starts_with('-')), "a package is no option");
        }
    }
    let environment = BTreeMap::from([("PATH".to_owned(), "/bin".to_owned())]);
    let process = BTreeMap::from([("cwd", "/".into())]);
    let of_layers = folder.for_layers("/usr/bin/x", &environment, &process);

    let Ok(bundle) = fuzzing::bundle(&folder) else { return };
    assert!(bundle.heap_bytes(u64::MAX) <= u64::MAX / 100 * 100);
    let places = Places { entrypoint: "{output}", output: "/output", memory_bytes: u64::MAX };
    for mode in [StartMode::Fork, StartMode::Spawn] {
        let _ = bundle.run_command(mode, &places);
    }
    let _ = bundle.compile_command(&places);
    assert!(bundle.environment(0).all(|(name, _)| !name.is_empty()));
    let of_layers = of_layers.expect("a bundle can be one of layers");
    fuzzing::check(&of_layers).expect("a bundle of layers is one");
});
