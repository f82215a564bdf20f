//! The bundles of a server by their names, and which of them a request means.
//!
//! Owns what a language's default bundle is. It starts nothing: what serves a bundle is the keeper's.

use std::collections::BTreeMap;

use crate::request::{RequestError, Target};

/// What has to be known of a bundle to tell whether a request means it.
pub(crate) trait Describe {
    /// The name of its language.
    fn language(&self) -> &str;
    /// Other names of its language.
    fn aliases(&self) -> &[String];
    /// Whether the program carries it, rather than somebody having made it.
    fn is_embedded(&self) -> bool;
    /// Why it cannot be started on this host, when it cannot.
    fn unavailable(&self) -> Option<String>;
}

/// A bundle's place.
#[derive(Debug)]
pub(crate) enum Entry<K> {
    /// It is served.
    Served(K),
    /// It cannot be used, for this reason.
    Broken(String),
}

/// All bundles.
#[derive(Debug)]
pub(crate) struct Roster<K>(BTreeMap<String, Entry<K>>);

impl<K> Default for Roster<K> {
    fn default() -> Self {
        Roster(BTreeMap::new())
    }
}

impl<K> FromIterator<(String, Entry<K>)> for Roster<K> {
    fn from_iter<I: IntoIterator<Item = (String, Entry<K>)>>(entries: I) -> Self {
        Roster(entries.into_iter().collect())
    }
}

impl<K> Roster<K> {
    /// All, by name.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Entry<K>)> {
        self.0.iter().map(|(name, entry)| (name.as_str(), entry))
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Entry<K>> {
        self.0.get(name)
    }

    /// Those that are served, by name.
    pub(crate) fn served(&self) -> impl Iterator<Item = (&str, &K)> {
        self.iter().filter_map(|(name, entry)| match entry {
            Entry::Served(kept) => Some((name, kept)),
            Entry::Broken(_) => None,
        })
    }

    /// Puts a bundle in its place, and returns what was there.
    pub(crate) fn put(&mut self, name: &str, entry: Entry<K>) -> Option<Entry<K>> {
        self.0.insert(name.to_owned(), entry)
    }

    pub(crate) fn remove(&mut self, name: &str) -> Option<Entry<K>> {
        self.0.remove(name)
    }
}

impl<K: Describe> Roster<K> {
    /// The default bundle of each language, by the languages' names.
    ///
    /// It is the one that has the language's own name, else the embedded one, else the first by name: no
    /// bundle that somebody adds takes a language over unless it takes the name as well.
    pub(crate) fn defaults(&self) -> BTreeMap<&str, &K> {
        let rank = |name: &str, kept: &K| (name != kept.language(), !kept.is_embedded());
        let mut defaults: BTreeMap<&str, (&str, &K)> = BTreeMap::new();
        for (name, kept) in self.served() {
            let default = defaults.entry(kept.language()).or_insert((name, kept));
            if rank(name, kept) < rank(default.0, default.1) {
                *default = (name, kept);
            }
        }
        defaults.into_iter().map(|(language, (_, kept))| (language, kept)).collect()
    }

    /// The bundle that a request means.
    pub(crate) fn find(&self, target: &Target) -> Result<&K, RequestError> {
        match target {
            Target::Language(language) => self.of_language(language),
            Target::Bundle(name) => self.bundle(name),
            Target::Either(name) => match self.of_language(name) {
                Err(RequestError::UnknownLanguage(..)) if self.0.contains_key(name) => self.bundle(name),
                found => found,
            },
        }
    }

    fn of_language(&self, language: &str) -> Result<&K, RequestError> {
        let defaults = self.defaults();
        let aliased = |kept: &&&K| kept.aliases().iter().any(|alias| alias == language);
        let found = defaults.get(language).or_else(|| defaults.values().find(aliased));
        let unavailable = |reason| RequestError::UnavailableLanguage(language.to_owned(), reason);
        match (found, self.0.get(language)) {
            (Some(kept), _) => kept.unavailable().map_or(Ok(*kept), |reason| Err(unavailable(reason))),
            // What language a broken bundle has is not known, but that of its name is what clients miss.
            (None, Some(Entry::Broken(reason))) => Err(unavailable(reason.clone())),
            (None, _) => {
                let known: Vec<_> = defaults.keys().copied().collect();
                Err(RequestError::UnknownLanguage(language.to_owned(), known.join(", ")))
            }
        }
    }

    fn bundle(&self, name: &str) -> Result<&K, RequestError> {
        let reason = match self.0.get(name) {
            Some(Entry::Served(kept)) => match kept.unavailable() {
                None => return Ok(kept),
                Some(reason) => reason,
            },
            Some(Entry::Broken(reason)) => reason.clone(),
            None => return Err(RequestError::UnknownBundle(name.to_owned(), self.names())),
        };
        Err(RequestError::UnavailableBundle(name.to_owned(), reason))
    }

    /// The names of all, for a person.
    pub(crate) fn names(&self) -> String {
        self.0.keys().map(String::as_str).collect::<Vec<_>>().join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Eq)]
    struct Fake {
        id: u32,
        language: &'static str,
        aliases: Vec<String>,
        embedded: bool,
        unavailable: Option<String>,
    }

    impl Describe for Fake {
        fn language(&self) -> &str {
            self.language
        }

        fn aliases(&self) -> &[String] {
            &self.aliases
        }

        fn is_embedded(&self) -> bool {
            self.embedded
        }

        fn unavailable(&self) -> Option<String> {
            self.unavailable.clone()
        }
    }

    fn fake(id: u32, language: &'static str, embedded: bool) -> Entry<Fake> {
        let aliases = vec![format!("{language}-alias")];
        Entry::Served(Fake { id, language, aliases, embedded, unavailable: None })
    }

    fn roster(entries: impl IntoIterator<Item = (&'static str, Entry<Fake>)>) -> Roster<Fake> {
        entries.into_iter().map(|(name, entry)| (name.to_owned(), entry)).collect()
    }

    fn language(name: &str) -> Target {
        Target::Language(name.to_owned())
    }

    fn bundle(name: &str) -> Target {
        Target::Bundle(name.to_owned())
    }

    fn either(name: &str) -> Target {
        Target::Either(name.to_owned())
    }

    #[test]
    fn a_language_means_its_embedded_bundle_whatever_else_has_it() {
        let roster = roster([
            ("ai", fake(1, "python", false)),
            ("python", fake(2, "python", true)),
            ("python-science", fake(3, "python", false)),
        ]);
        for name in ["python", "python-alias"] {
            assert_eq!(roster.find(&language(name)).unwrap().id, 2, "{name}");
            assert_eq!(roster.find(&either(name)).unwrap().id, 2, "{name}");
        }
        assert_eq!(roster.find(&bundle("ai")).unwrap().id, 1);
        assert_eq!(roster.find(&either("python-science")).unwrap().id, 3);
        assert_eq!(roster.defaults().len(), 1);
    }

    #[test]
    fn a_stored_bundle_of_its_name_takes_the_place_of_an_embedded_one() {
        let roster = roster([("ai", fake(1, "python", false)), ("python", fake(2, "python", false))]);
        assert_eq!(roster.find(&language("python")).unwrap().id, 2);
    }

    #[test]
    fn a_new_language_is_that_of_the_first_bundle_that_has_it() {
        let roster = roster([("cobol-2", fake(1, "cobol", false)), ("cobol-1", fake(2, "cobol", false))]);
        assert_eq!(roster.find(&language("cobol")).unwrap().id, 2);
        assert_eq!(roster.find(&bundle("cobol-2")).unwrap().id, 1);
    }

    #[test]
    fn what_is_unknown_is_named_with_what_is_known() {
        let roster = roster([("ai", fake(1, "python", false)), ("python", fake(2, "python", true))]);
        for target in [language("ai"), either("cobol")] {
            let error = roster.find(&target).unwrap_err();
            assert!(
                matches!(&error, RequestError::UnknownLanguage(_, known) if known == "python"),
                "{error}"
            );
        }
        let error = roster.find(&bundle("cobol")).unwrap_err();
        assert!(
            matches!(&error, RequestError::UnknownBundle(name, known) if name == "cobol" && known == "ai, python"),
            "{error}"
        );
        // An alias is the language's name, and no bundle's.
        assert!(matches!(roster.find(&bundle("python-alias")), Err(RequestError::UnknownBundle(..))));
    }

    #[test]
    fn what_cannot_be_used_says_why() {
        let missing = Entry::Served(Fake {
            id: 1,
            language: "go",
            aliases: Vec::new(),
            embedded: true,
            unavailable: Some("no go here".to_owned()),
        });
        let broken = || Entry::Broken("a layer is damaged".to_owned());
        let roster = roster([("go", missing), ("python", broken()), ("science", broken())]);
        for (name, why) in [("go", "no go here"), ("python", "a layer is damaged")] {
            let of_language = roster.find(&language(name)).unwrap_err();
            assert!(
                matches!(&of_language, RequestError::UnavailableLanguage(_, reason) if reason == why),
                "{of_language}"
            );
            let of_bundle = roster.find(&bundle(name)).unwrap_err();
            assert!(
                matches!(&of_bundle, RequestError::UnavailableBundle(_, reason) if reason == why),
                "{of_bundle}"
            );
        }
    }
}
