//! Who a container runs as: ECS's `user` (or the image's), looked up in the image's own passwd and group files as text.
//! No code of the image has a part in it.

/// A user as numbers, with its home directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The user id.
    pub uid: u32,
    /// The primary group id.
    pub gid: u32,
    /// The supplementary groups.
    pub groups: Vec<u32>,
    /// Its home directory, `/` where the image names none.
    pub home: String,
}

/// The image has no such user or group. Docker's words.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum UserError {
    /// The user is neither a number nor in /etc/passwd.
    #[error("unable to find user {0}: no matching entries in passwd file")]
    User(String),
    /// The group is neither a number nor in /etc/group.
    #[error("unable to find group {0}: no matching entries in group file")]
    Group(String),
}

struct Passwd<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
    home: &'a str,
}

/// Resolves `user`, `uid`, `user:group`, `uid:gid` and mixtures of them, the empty string being root; as Docker does: a group
/// that is named explicitly leaves no supplementary ones.
pub fn resolve(user: &str, passwd: &str, group: &str) -> Result<User, UserError> {
    let (user, explicit_group) = match user.split_once(':') {
        Some((user, group)) => (user, Some(group).filter(|group| !group.is_empty())),
        None => (user, None),
    };
    let user = if user.is_empty() { "0" } else { user };
    let entry = match id(user) {
        Some(uid) => passwd_entries(passwd).find(|entry| entry.uid == uid),
        None => passwd_entries(passwd).find(|entry| entry.name == user),
    };
    let uid = match &entry {
        Some(entry) => entry.uid,
        None => id(user).ok_or_else(|| UserError::User(user.to_owned()))?,
    };
    let (gid, groups) = match explicit_group {
        Some(name) => (gid_of(name, group)?, Vec::new()),
        None => match &entry {
            Some(entry) => (entry.gid, memberships(entry.name, group)),
            None => (0, Vec::new()),
        },
    };
    let home = entry.map(|entry| entry.home).filter(|home| home.starts_with('/')).unwrap_or("/").to_owned();
    Ok(User { uid, gid, groups, home })
}

/// A user's or group's number. The largest one is none: to the kernel it means "leave it as it is" (setresuid(2)), which here
/// would be root. Only digits: what has a sign is a name.
fn id(text: &str) -> Option<u32> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|id| digits && *id != u32::MAX)
}

fn passwd_entries(text: &str) -> impl Iterator<Item = Passwd<'_>> {
    text.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let (uid, gid) = (id(fields.nth(1)?)?, id(fields.next()?)?);
        Some(Passwd { name, uid, gid, home: fields.nth(1).unwrap_or_default() })
    })
}

/// Name, id and members of each group.
fn group_entries(text: &str) -> impl Iterator<Item = (&str, u32, &str)> {
    text.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        Some((name, id(fields.nth(1)?)?, fields.next().unwrap_or_default()))
    })
}

fn gid_of(name: &str, group: &str) -> Result<u32, UserError> {
    if let Some(gid) = id(name) {
        return Ok(gid);
    }
    let found = group_entries(group).find(|(entry, ..)| *entry == name).map(|(_, gid, _)| gid);
    found.ok_or_else(|| UserError::Group(name.to_owned()))
}

/// The kernel takes at most 65536 groups; a group file of a hostile image may name more.
fn memberships(user: &str, group: &str) -> Vec<u32> {
    let is_member = |members: &str| members.split(',').any(|member| member == user);
    let mut groups: Vec<u32> =
        group_entries(group).filter(|(.., members)| is_member(members)).map(|(_, gid, _)| gid).take(65_536).collect();
    groups.sort_unstable();
    groups.dedup();
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nbroken\napp:x:1000:1001:App:/home/app:/bin/sh\n";
    const GROUP: &str = "root:x:0:\napp:x:1001:\nlogs:x:50:app,root\nadm:x:4:syslog,app\n";

    fn ids(user: &str) -> (u32, u32, Vec<u32>) {
        let user = resolve(user, PASSWD, GROUP).unwrap();
        (user.uid, user.gid, user.groups)
    }

    #[test]
    fn every_form_of_user_is_understood() {
        assert_eq!(ids(""), (0, 0, vec![50]));
        assert_eq!(ids("app"), (1000, 1001, vec![4, 50]));
        assert_eq!(ids("1000"), (1000, 1001, vec![4, 50]));
        assert_eq!(ids("app:logs"), (1000, 50, vec![]));
        assert_eq!(ids("7:8"), (7, 8, vec![]));
        assert_eq!(ids("7"), (7, 0, vec![]));
        assert_eq!(ids(":adm"), (0, 4, vec![]));
    }

    #[test]
    fn a_number_too_large_is_a_name_that_nobody_has() {
        assert_eq!(resolve("4294967296", PASSWD, GROUP), Err(UserError::User("4294967296".to_owned())));
        assert_eq!(resolve("4294967295", PASSWD, GROUP), Err(UserError::User("4294967295".to_owned())));
        assert_eq!(resolve("+0", PASSWD, GROUP), Err(UserError::User("+0".to_owned())));
        assert_eq!(resolve("app:4294967295", PASSWD, GROUP), Err(UserError::Group("4294967295".to_owned())));
        for passwd in
            ["evil:x:4294967295:0::/:", "evil:x:4294967296:0::/:", "evil:x:-1:0::/:", "evil:x:1:4294967295::/:"]
        {
            assert_eq!(resolve("evil", passwd, ""), Err(UserError::User("evil".to_owned())), "{passwd}");
        }
        assert_eq!(resolve("app:evil", PASSWD, "evil:x:4294967295:"), Err(UserError::Group("evil".to_owned())));
        assert_eq!(resolve("app:0x0", PASSWD, GROUP), Err(UserError::Group("0x0".to_owned())));
    }

    #[test]
    fn the_home_directory_is_the_images_or_the_root() {
        assert_eq!(resolve("app", PASSWD, GROUP).unwrap().home, "/home/app");
        assert_eq!(resolve("99", "x:y:99:99::home:", GROUP).unwrap().home, "/");
    }
}
