//! Transactions, lists and the file of the store.

use super::*;
use crate::lifecycle::{LastStatus, TaskState, Timestamp};

fn store() -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("below/store.db")).unwrap();
    (dir, store)
}

#[test]
fn a_transaction_on_a_changed_record_writes_nothing() {
    let (_dir, mut store) = store();
    assert_eq!(store.commit(&Txn::default().put("a", &1)).unwrap(), Commit::Done);
    let first = store.get::<i32>("a").unwrap().unwrap();
    assert_eq!(store.commit(&Txn::default().put("a", &2)).unwrap(), Commit::Done);
    let late = Txn::default().require_unchanged("a", first.revision).put("a", &3).put("b", &3);
    assert_eq!(store.commit(&late).unwrap(), Commit::Conflict);
    assert_eq!(store.get::<i32>("a").unwrap().unwrap().value, 2);
    assert_eq!(store.get::<i32>("b").unwrap(), None);
}

#[test]
fn the_revision_and_the_keys_tell_what_has_changed() {
    let (_dir, mut store) = store();
    assert_eq!(store.commit(&Txn::default().put("t/1", &1).put("t/2", &2)).unwrap(), Commit::Done);
    let before = (store.revision().unwrap(), store.revisions("t/").unwrap());
    assert_eq!(store.commit(&Txn::default().put("t/2", &3).and(Txn::default().put("s", &1))).unwrap(), Commit::Done);
    let after = (store.revision().unwrap(), store.revisions("t/").unwrap());
    assert_eq!((after.0, after.1[0].clone()), (before.0 + 1, before.1[0].clone()));
    assert_eq!(after.1[1], ("t/2".to_owned(), after.0));
}

#[test]
fn of_two_claims_to_one_key_one_wins() {
    let (_dir, mut store) = store();
    let claim = Txn::default().require_absent("lease/1").put("lease/1", &"me");
    assert_eq!(store.commit(&claim).unwrap(), Commit::Done);
    assert_eq!(store.commit(&claim).unwrap(), Commit::Conflict);
}

#[test]
fn a_list_holds_the_prefix_and_nothing_else() {
    let (_dir, mut store) = store();
    let txn = Txn::default().put("t/1", &1).put("t/2", &2).put("tt", &3).put("s", &4).delete("absent");
    assert_eq!(store.commit(&txn).unwrap(), Commit::Done);
    let keys: Vec<String> = store.list::<i32>("t/").unwrap().into_iter().map(|entry| entry.key).collect();
    assert_eq!(keys, ["t/1", "t/2"]);
}

#[test]
fn tasks_that_are_not_over_are_found_by_an_index_alone_in_an_earlier_store_too() {
    let (dir, mut store) = store();
    let state = |last_status| {
        let mut state = TaskState::new(&[], Timestamp(1), Timestamp(1));
        state.last_status = last_status;
        state
    };
    store.db.execute_batch("DROP INDEX task").unwrap();
    let txn = Txn::default().put("task/a/plan", &1).put("task/a/status", &state(LastStatus::Running));
    let txn = txn.put("task/b/plan", &1).put("task/b/status", &state(LastStatus::Stopped)).put("s/status", &1);
    assert_eq!(store.commit(&txn).unwrap(), Commit::Done);
    let mut store = Store::open(&dir.path().join("below/store.db")).unwrap();
    assert_eq!(store.tasks().unwrap().len(), 2);
    assert_eq!(store.live_tasks().unwrap(), ["task/a/"]);
    let txn = Txn::default().put("task/a/status", &state(LastStatus::Stopped)).put("task/c/status", &1);
    assert_eq!(store.commit(&txn.delete("task/b/status")).unwrap(), Commit::Done);
    assert_eq!((store.tasks().unwrap().len(), store.live_tasks().unwrap()), (2, vec!["task/c/".to_owned()]));
    let plan = format!("EXPLAIN QUERY PLAN SELECT key FROM record INDEXED BY task WHERE {STATUS} AND ({OVER}) = 0");
    let plan: String = store.db.query_row(&plan, [], |row| row.get("detail")).unwrap();
    assert!(plan.starts_with("SEARCH record USING COVERING INDEX task"), "{plan}");
}

#[test]
fn a_store_in_which_an_earlier_version_keeps_records_and_keys_together_is_read_and_written_alike() {
    let (dir, store) = store();
    let earlier = "DROP INDEX task;
        ALTER TABLE record RENAME TO other;
        CREATE TABLE record (key TEXT PRIMARY KEY, revision INTEGER NOT NULL, value TEXT NOT NULL) WITHOUT ROWID;
        INSERT INTO record SELECT * FROM other;
        DROP TABLE other;";
    store.db.execute_batch(earlier).unwrap();
    let mut store = Store::open(&dir.path().join("below/store.db")).unwrap();
    let large = "x".repeat(20_000);
    let txn = Txn::default().put("t/2", &large).put("t/1", &large).put("t/3", &1).put("u", &1);
    assert_eq!(store.commit(&txn).unwrap(), Commit::Done);
    let revision = store.revision().unwrap();
    let txn = Txn::default().require_unchanged("t/2", revision).delete("t/3").put("t/1", &"small");
    assert_eq!(store.commit(&txn).unwrap(), Commit::Done);
    assert_eq!(store.commit(&Txn::default().require_absent("t/2").put("v", &1)).unwrap(), Commit::Conflict);
    let all = store.list::<String>("t/").unwrap().into_iter().map(|entry| (entry.key, entry.value));
    assert_eq!(all.collect::<Vec<_>>(), [("t/1".to_owned(), "small".to_owned()), ("t/2".to_owned(), large)]);
}

#[test]
fn a_list_by_ending_and_the_revisions_are_those_of_the_prefix() {
    let (_dir, mut store) = store();
    assert_eq!(store.commit(&Txn::default().put("t/1/a", &1).put("t/1/b", &2)).unwrap(), Commit::Done);
    assert_eq!(store.commit(&Txn::default().put("t/2/b", &3).put("u/b", &4)).unwrap(), Commit::Done);
    let values: Vec<i32> = store.list_ending("t/", "/b").unwrap().into_iter().map(|entry| entry.value).collect();
    assert_eq!(values, [2, 3]);
    let revisions = store.revisions("t/").unwrap();
    assert_eq!(revisions, [("t/1/a".into(), 1), ("t/1/b".into(), 1), ("t/2/b".into(), 2)]);
}

#[test]
fn the_last_that_is_wanted_is_found_from_the_end() {
    let (_dir, mut store) = store();
    let txn = Txn::default().put("t/1", &1).put("t/2", &2).put("t/3", &3).put("u", &4);
    assert_eq!(store.commit(&txn).unwrap(), Commit::Done);
    let looked = std::cell::RefCell::new(Vec::new());
    let last = |most: i32| {
        let wanted = |value: &i32| {
            looked.borrow_mut().push(*value);
            *value <= most
        };
        store.last("t/", wanted).unwrap().map(|entry| entry.key)
    };
    assert_eq!((last(2), last(0)), (Some("t/2".to_owned()), None));
    assert_eq!(*looked.borrow(), [3, 2, 3, 2, 1]);
}

#[test]
fn of_many_who_make_the_file_at_once_all_can_open_it() {
    let dir = tempfile::tempdir().unwrap();
    for round in 0..20 {
        let path = dir.path().join(format!("{round}/store.db"));
        std::thread::scope(|scope| {
            let openers: Vec<_> = (0..8).map(|_| scope.spawn(|| Store::open(&path).map(drop))).collect();
            openers.into_iter().for_each(|opener| opener.join().unwrap().unwrap());
        });
    }
}

#[test]
fn another_format_is_refused() {
    let (dir, store) = store();
    store.db.pragma_update(None, "user_version", 99).unwrap();
    let error = Store::open(&dir.path().join("below/store.db")).unwrap_err();
    assert!(matches!(error, StoreError::Format { found: 99, .. }), "{error}");
}
