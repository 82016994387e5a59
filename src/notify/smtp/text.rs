//! What the messages say: once, for both the plain and the HTML part.

use std::fmt::Write as _;

use crate::audit::{AuditEntry, Event};
use crate::notify::{ConfirmationLink, ConfirmationMessage, visible};
use crate::time::{Minute, Timestamp};
use crate::user::Actor;

/// A message before it has a form.
pub(super) struct Text<'a> {
    pub(super) subject: String,
    blocks: Vec<Block<'a>>,
}

enum Block<'a> {
    Paragraph(String),
    /// Names and values.
    Facts(Vec<(&'static str, String)>),
    Link(&'a ConfirmationLink),
}

impl<'a> Text<'a> {
    /// Asks for a confirmation.
    pub(super) fn confirmation(
        service: &str,
        message: &ConfirmationMessage,
        link: &'a ConfirmationLink,
    ) -> Self {
        let mut facts = facts(message.user.as_str(), &message.actor, message.at);
        if let Some(client) = &message.client {
            facts.push(("From", visible(client).to_string()));
        }
        let end = Minute(message.code_expires_at);
        Self {
            subject: format!("Confirm your new API token for {service}"),
            blocks: vec![
                Block::Paragraph(format!(
                    "A new API token, {}, was generated for your account at {service}. It does \
                     not work until you confirm it.",
                    number(message)
                )),
                Block::Facts(facts),
                paragraph(
                    "To confirm it, sign in first. Then open this link in the same browser, and \
                     press the button there:",
                ),
                Block::Link(link),
                Block::Paragraph(format!(
                    "The link works until {end}. Opening it changes nothing yet, and it works \
                     for you alone: do not pass it on."
                )),
                paragraph(
                    "If you did not ask for this, do not confirm. The new token then never \
                     works, and your present tokens go on working. Cancel it on your profile \
                     page, and change the password of your account: somebody may know it.",
                ),
            ],
        }
    }

    /// Tells of a change, or of the end that is coming.
    pub(super) fn notice(service: &str, entry: &AuditEntry) -> Self {
        let mut facts = facts(entry.user.as_str(), &entry.actor, entry.at);
        let mut subject = format!("{} at {service}", headline(&entry.event));
        if matches!(entry.event, Event::ExpiryAnnounced { .. }) {
            // Nobody has done anything.
            facts.truncate(1);
            subject = format!("An API token of yours at {service} is going to end");
        }
        Self {
            subject,
            blocks: vec![
                Block::Paragraph(format!("{}.{}", entry.event, consequence(&entry.event))),
                Block::Facts(facts),
                paragraph(advice(&entry.event)),
            ],
        }
    }

    pub(super) fn plain(&self) -> String {
        let mut text = String::new();
        for block in &self.blocks {
            match block {
                Block::Paragraph(paragraph) => text.push_str(paragraph),
                Block::Facts(facts) => {
                    let lines: Vec<_> =
                        facts.iter().map(|(name, value)| format!("  {name}: {value}")).collect();
                    text.push_str(&lines.join("\r\n"));
                }
                Block::Link(link) => text.push_str(link.expose_secret()),
            }
            text.push_str("\r\n\r\n");
        }
        text
    }

    pub(super) fn html(&self) -> String {
        let mut html = String::from(
            "<!DOCTYPE html>\r\n<html lang=\"en\">\r\n<head><meta charset=\"utf-8\"><title>",
        );
        push_escaped(&mut html, &self.subject);
        html.push_str("</title></head>\r\n<body>\r\n");
        for block in &self.blocks {
            html.push_str("<p>");
            match block {
                Block::Paragraph(paragraph) => push_escaped(&mut html, paragraph),
                Block::Facts(facts) => {
                    for (name, value) in facts {
                        let _ = write!(html, "{name}: ");
                        push_escaped(&mut html, value);
                        html.push_str("<br>\r\n");
                    }
                }
                Block::Link(link) => {
                    // Each time on a line of its own, which it may fill.
                    html.push_str("<a href=\"");
                    push_escaped(&mut html, link.expose_secret());
                    html.push_str("\"\r\n>");
                    push_escaped(&mut html, link.expose_secret());
                    html.push_str("</a>");
                }
            }
            html.push_str("</p>\r\n");
        }
        html.push_str("</body>\r\n</html>\r\n");
        html
    }
}

fn facts(user: &str, actor: &Actor, at: Timestamp) -> Vec<(&'static str, String)> {
    let by = match actor {
        Actor::User => String::from("you, signed in"),
        Actor::Administrator(name) => format!("the administrator {}", visible(name)),
        Actor::Program(name) => format!("the program {}", visible(name)),
    };
    vec![("Account", visible(user).to_string()), ("When", Minute(at).to_string()), ("By", by)]
}

fn paragraph(text: &str) -> Block<'static> {
    Block::Paragraph(text.to_owned())
}

/// The token's number, and what else it can be recognised by.
fn number(message: &ConfirmationMessage) -> String {
    match message.hint.as_str() {
        "" => format!("number {}", message.token),
        hint => format!("number {} ({hint})", message.token),
    }
}

const fn headline(event: &Event) -> &'static str {
    match event {
        Event::PrimaryConfirmed { .. } => "Your new API token is active",
        Event::BackupDeleted { .. } => "Your backup API token was deleted",
        Event::RolledBack { .. } => "Your former API token is the primary again",
        Event::AllRevoked => "All your API tokens were revoked",
        Event::AccessRevoked => "Your API access was revoked",
        Event::AccessSuspended => "Your API access was suspended",
        Event::AccessResumed => "Your API access was resumed",
        Event::TokenEnded { .. } => "An API token of yours was ended",
        Event::LeakReported { .. } => "An API token of yours was found in public",
        Event::TokenIssued { .. } => "An API token was issued for you",
        Event::TokenRevealed { .. } => "Your API token was shown",
        Event::AccessGranted { .. }
        | Event::PrimaryGenerated { .. }
        | Event::ConfirmationResent { .. }
        | Event::PendingCancelled { .. }
        | Event::TokenImported { .. }
        | Event::ExpiryAnnounced { .. }
        | Event::ExpiryLifted { .. }
        | Event::TokenExpired { .. }
        | Event::RetiredTokenUsed { .. }
        | Event::ConfirmationNotSent { .. } => "Your API tokens were changed",
    }
}

/// What follows from the event for its user.
const fn consequence(event: &Event) -> &'static str {
    match event {
        Event::PrimaryConfirmed { backup: Some(_), .. } => {
            " The backup works until it is deleted, or expires if it has a lifetime."
        }
        Event::BackupDeleted { .. } => " It works no more.",
        Event::RolledBack { .. } => " What was given up works no more.",
        Event::AllRevoked | Event::AccessRevoked => " None of your tokens works any more.",
        Event::AccessSuspended => " None of your tokens works until it is resumed.",
        Event::AccessResumed => " Those of your tokens that have not ended meanwhile work again.",
        Event::TokenEnded { .. } => " It works no more.",
        Event::LeakReported { .. } => " Whoever reads that place may have it: generate a new one.",
        Event::ExpiryAnnounced { unless_used: false, .. } => {
            " Generate a new one before, so that nothing stops working."
        }
        Event::ExpiryAnnounced { unless_used: true, .. } => {
            " No program has used it for a long time."
        }
        Event::TokenIssued { .. } => " It works at once, and whoever issued it has seen it.",
        Event::TokenRevealed { .. } => " Whoever asked for it has seen it.",
        _ => "",
    }
}

/// What the user may have to do about it.
const fn advice(event: &Event) -> &'static str {
    match event {
        Event::AccessSuspended => {
            "Your tokens stay as they are, and you can look at them and end them on your profile \
             page meanwhile. If you do not know why this was done, ask your administrator."
        }
        Event::AccessResumed => "If you do not know why this was done, ask your administrator.",
        Event::LeakReported { .. } => {
            "Sign in, and revoke every token that was kept in the same place. Take it out there, \
             and ask your administrator what was requested in your name."
        }
        Event::ExpiryAnnounced { unless_used: false, .. } => {
            "Sign in to generate it on your profile page. If nothing uses this token, you need \
             not do anything."
        }
        Event::ExpiryAnnounced { unless_used: true, .. } => {
            "If a program still needs it, let that program use it before. If not, you need not do \
             anything."
        }
        _ => {
            "If this was not you or somebody who may do it for you, sign in, revoke all your \
             tokens at once, change the password of your account, and tell your administrator."
        }
    }
}

fn push_escaped(html: &mut String, text: &str) {
    for character in text.chars() {
        match character {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            character if character.is_ascii() => html.push(character),
            // So that this part is ASCII whatever it tells of.
            character => {
                let _ = write!(html, "&#{};", u32::from(character));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::account::Revision;
    use crate::token::TokenId;
    use crate::user::UserId;

    fn notice(user: &str, event: Event) -> AuditEntry {
        let at = Timestamp::from_unix_millis(1_767_323_045_678);
        let (user, revision) = (UserId::new(user).unwrap(), Revision::from_u64(1));
        AuditEntry::new(user, revision, at, Actor::User, event)
    }

    #[test]
    fn every_notable_event_has_words_of_its_own() {
        let id = TokenId::from_u64;
        let confirmed = |backup, replaced| Event::PrimaryConfirmed { id: id(3), backup, replaced };
        let announced = |unless_used| Event::ExpiryAnnounced {
            id: id(3),
            expires_at: Timestamp::from_unix_millis(1_767_323_045_678),
            notice: Duration::from_secs(86_400),
            unless_used,
        };
        let events = [
            confirmed(None, None),
            confirmed(Some(id(2)), None),
            confirmed(Some(id(2)), Some(id(1))),
            Event::BackupDeleted { id: id(2) },
            Event::RolledBack { given_up: id(3), primary: id(2) },
            Event::AllRevoked,
            Event::AccessRevoked,
            Event::TokenIssued { id: id(1) },
            Event::TokenRevealed { id: id(3) },
            Event::AccessSuspended,
            Event::AccessResumed,
            Event::TokenEnded { id: id(3), promoted: None },
            Event::LeakReported { id: id(3), found: "a public repository".to_owned() },
            announced(false),
            announced(true),
        ];
        let mut texts: Vec<_> = Vec::new();
        for event in events {
            let what = format!("{event}.");
            let text = Text::notice("Acme", &notice("alice", event)).plain();
            assert!(text.contains("Account: alice") && text.contains("2026-01-02 03:04 UTC"));
            assert!(text.starts_with(&what), "{text}");
            assert!(!text.contains("changed ("), "{text}");
            assert!(!texts.contains(&text), "{text}");
            texts.push(text);
        }
    }

    #[test]
    fn web_011_a_name_is_text_in_both_parts() {
        let name = "<script>\"><img onerror=x> {{7*7}} javascript:x '&' \u{202e}evil";
        let text = Text::notice("Acme", &notice(name, Event::AllRevoked));
        let html = text.html();
        assert!(html.contains(
            "&lt;script&gt;&quot;&gt;&lt;img onerror=x&gt; {{7*7}} javascript:x &#39;&amp;&#39; \
             \\u{202e}evil"
        ));
        assert!(text.plain().contains(&name.replace('\u{202e}', "\\u{202e}")));
        assert!(!html.contains("<script") && !html.contains("<img"), "{html}");
    }
    #[test]
    fn what_a_name_hides_is_visible_in_both_parts() {
        let name = "alice\u{200b}\u{ad}\u{3164}\u{202e}nimda";
        let shown = "alice\\u{200b}\\u{ad}\\u{3164}\\u{202e}nimda";
        let mut notice = notice(name, Event::AllRevoked);
        notice.actor = Actor::administrator(name).unwrap();
        let text = Text::notice("Acme", &notice);
        for part in [text.plain(), text.html()] {
            assert_eq!(part.matches(shown).count(), 2, "{part}");
        }
    }
}
