//! `/SIP/CredentialLists/{CL}/Credentials`: user names and their passwords (voice-api §13.2).
//!
//! A digest of whatever algorithm wants the password itself: it is sealed, opened for carriers
//! alone, and never shown.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kernel::ApiError;
use rest::{Access, Ctx, Draft, Field, Op, Param, Resource, Table, Verb, Wire};

use crate::{Trunking, list, shelf};

pub(crate) const KIND: &str = "SipCredential";
/// The sealed password, which no answer has.
const SEALED: &str = "sealed_password";
const CREDENTIALS_MAX: i64 = 1000;
const PASSWORD_LEAST: usize = 12;

pub static CREDENTIAL: Resource<Trunking> = Resource {
    table: Table::v2010(
        KIND,
        "/2010-04-01/Accounts/{AccountSid}/SIP/CredentialLists/{CredentialListSid}/Credentials",
        "/2010-04-01/Accounts/{AccountSid}/SIP/CredentialLists/{CredentialListSid}/Credentials/{Sid}",
    )
    .key("credentials")
    .sid("CR")
    .under(list::CREDENTIALS)
    .fields(&[
        Field::sid("sid", &["CR"]),
        Field::sid("account_sid", &["AC"]),
        Field::sid("credential_list_sid", &["CL"]),
        Field::text("username"),
        Field::new("date_created", Wire::Rfc2822),
        Field::new("date_updated", Wire::Rfc2822),
        Field::text("uri"),
    ])
    .access(Access::Keys("voice/sip-credentials")),
    ops: &[
        Op::create(&[
            Param::text("Username", 32).required(21243).code(21243),
            Param::text("Password", 255).required(21243).code(21243),
        ])
        .with(|sip, ctx, draft| Box::pin(seal(sip, ctx, draft))),
        Op::list(&[]),
        Op::fetch(),
        Op::update(&[Param::text("Password", 255).code(21243)])
            .with(|sip, ctx, draft| Box::pin(seal(sip, ctx, draft))),
        Op::delete(),
    ],
};

/// Checks name and password, and puts the sealed password in the place of the plain one.
///
/// # Errors
/// 21242 when the list is full; 21243 for a name that is taken or a password that is too weak.
async fn seal(sip: &Trunking, ctx: &Ctx, draft: &mut Draft) -> Result<(), ApiError> {
    let invalid = |why: String| ApiError::new(21243, why);
    let list = ctx.param("CredentialListSid").to_owned();
    let password = draft.fields.remove("password");
    let password = password.as_ref().and_then(|password| password.as_str()).unwrap_or_default();
    if draft.verb == Verb::Create {
        shelf::check_room(ctx, KIND, &list, CREDENTIALS_MAX, 21242).await?;
        let username = draft.text("username").unwrap_or_default().to_owned();
        let is_name = |byte: u8| byte.is_ascii_graphic() && !b"\":@<>\\".contains(&byte);
        if !username.bytes().all(is_name) {
            let why = "Username: only ASCII letters, digits and signs but \" : @ < > \\";
            return Err(invalid(why.to_owned()));
        }
        let known = shelf::all(&ctx.store, KIND, &list).await.map_err(shelf::failed(ctx))?;
        if known.iter().any(|known| known.text("username") == Some(&username)) {
            return Err(invalid(format!("Username '{username}' is in this list already")));
        }
    } else if password.is_empty() {
        return Ok(());
    }
    check_password(password).map_err(invalid)?;
    draft.set(SEALED, STANDARD.encode(sip.parts.sealer.seal(password)));
    draft.set("credential_list_sid", list);
    Ok(())
}

fn check_password(password: &str) -> Result<(), String> {
    let has = |what: fn(&char) -> bool| password.chars().any(|letter| what(&letter));
    let is_strong = password.chars().count() >= PASSWORD_LEAST
        && has(char::is_ascii_uppercase)
        && has(char::is_ascii_lowercase)
        && has(char::is_ascii_digit);
    match is_strong {
        true => Ok(()),
        false => Err(format!(
            "Password: at least {PASSWORD_LEAST} characters, among them an upper-case letter, a \
             lower-case letter and a digit"
        )),
    }
}

/// The password of a user name in a list.
pub(crate) async fn password(
    sip: &Trunking,
    store: &store::AccountStore,
    list: &str,
    username: &str,
) -> Result<Option<String>, contracts::Unavailable> {
    let known = shelf::all(store, KIND, list).await.map_err(shelf::unavailable)?;
    let found = known.iter().find(|doc| doc.text("username") == Some(username));
    let Some(sealed) = found.and_then(|doc| doc.text(SEALED)) else { return Ok(None) };
    let broken = || contracts::Unavailable("a password does not open with this key".into());
    let sealed = STANDARD.decode(sealed).map_err(|_| broken())?;
    sip.parts.sealer.open(&sealed).map(Some).map_err(|_| broken())
}

#[cfg(test)]
mod tests {
    use super::check_password;

    #[test]
    fn passwords_are_long_and_mixed() {
        for (password, fine) in [
            ("Abcdefghijk1", true),
            ("Abcdefghij1", false),
            ("abcdefghijk1", false),
            ("ABCDEFGHIJK1", false),
            ("Abcdefghijkl", false),
            ("Äbcdefghijk1", false),
        ] {
            assert_eq!(check_password(password).is_ok(), fine, "{password}");
        }
    }
}
