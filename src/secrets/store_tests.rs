//! The store's files: who may read them, what becomes of them when several write, and when something is wrong.

use std::os::unix::fs::PermissionsExt;

use super::*;

fn store(directory: &Path) -> SecretStore {
    let file = |name: &str| directory.join("state").join(name);
    SecretStore::new(StorePaths { file: file("secrets.enc"), key: file("secrets.key"), lock: file("secrets.lock") })
}

fn put(store: &SecretStore, name: &str, value: &str) -> Result<String, SecretError> {
    store.put(Kind::Secret, &name.parse().unwrap(), value, &[], "id".into(), 1)
}

fn get(store: &SecretStore, name: &str) -> Option<String> {
    match store.snapshot().unwrap().get(Kind::Secret, name, &Selector::default()) {
        Found::Value(value) => Some(value.to_owned()),
        Found::NoVersion | Found::Nothing => None,
    }
}

#[test]
fn a_value_is_found_again_and_stands_in_no_file() {
    let directory = tempfile::tempdir().unwrap();
    let store = store(directory.path());
    put(&store, "db/password", "correct horse").unwrap();
    assert_eq!(get(&store, "db/password").as_deref(), Some("correct horse"));
    for entry in fs::read_dir(directory.path().join("state")).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600, "{}", path.display());
        let bytes = fs::read(&path).unwrap();
        for word in [&b"correct horse"[..], b"password"] {
            assert!(!bytes.windows(word.len()).any(|part| part == word), "{}", path.display());
        }
    }
}

#[test]
fn to_look_or_to_remove_makes_no_file() {
    let directory = tempfile::tempdir().unwrap();
    let store = store(directory.path());
    assert_eq!(get(&store, "x"), None);
    assert!(store.list().unwrap().is_empty());
    assert!(!store.remove(Kind::Secret, &"x".parse().unwrap()).unwrap());
    assert!(!directory.path().join("state").exists());
}

#[test]
fn many_writers_at_once_lose_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let store = store(directory.path());
    std::thread::scope(|scope| {
        for writer in 0..8 {
            let store = &store;
            scope.spawn(move || (0..5).for_each(|turn| drop(put(store, &format!("{writer}/{turn}"), "x").unwrap())));
        }
    });
    assert_eq!(store.list().unwrap().len(), 40);
}

#[test]
fn a_store_whose_key_is_gone_is_not_given_another() {
    let directory = tempfile::tempdir().unwrap();
    let store = store(directory.path());
    put(&store, "a", "one").unwrap();
    let key = &store.paths.key;
    let kept = fs::read(key).unwrap();
    fs::remove_file(key).unwrap();
    assert!(matches!(put(&store, "b", "two"), Err(SecretError::NoKey { .. })));
    assert!(!key.exists());
    replace(key, &[9; 32]).unwrap();
    assert!(matches!(store.list(), Err(SecretError::Sealed { .. })));
    replace(key, &kept[..31]).unwrap();
    assert!(matches!(store.list(), Err(SecretError::Key { .. })));
    replace(key, &kept).unwrap();
    assert_eq!(get(&store, "a").as_deref(), Some("one"));
}

#[test]
fn files_that_others_can_read_are_not_trusted() {
    let directory = tempfile::tempdir().unwrap();
    let store = store(directory.path());
    put(&store, "a", "one").unwrap();
    for path in [&store.paths.key, &store.paths.file] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o640)).unwrap();
        let error = store.list().unwrap_err();
        assert!(matches!(&error, SecretError::Open { path: named } if named == path), "{error}");
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    }
}

#[test]
fn what_a_killed_writer_left_is_in_nobodys_way() {
    let directory = tempfile::tempdir().unwrap();
    let store = store(directory.path());
    put(&store, "a", "one").unwrap();
    fs::write(store.paths.file.with_extension("new"), "half").unwrap();
    put(&store, "b", "two").unwrap();
    assert_eq!(store.list().unwrap().len(), 2);
}

#[test]
fn a_value_that_no_variable_can_hold_is_refused_without_being_shown() {
    let directory = tempfile::tempdir().unwrap();
    let store = store(directory.path());
    for value in ["", "hush\0hush", &"hush".repeat(20_000)] {
        let error = put(&store, "a", value).unwrap_err().to_string();
        assert!(error.contains("secret a") && !error.contains("hush"), "{error}");
    }
    let bad = ["a b".to_owned()];
    let error = store.put(Kind::Secret, &"a".parse().unwrap(), "x", &bad, "id".into(), 1).unwrap_err();
    assert!(matches!(error, SecretError::Stage(_)));
}
