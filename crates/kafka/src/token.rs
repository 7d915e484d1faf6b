//! Unsecured tokens, for laptops and tests: the client makes its first token itself, and asks for those that follow.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use rdkafka::client::OAuthToken;
use serde_json::{Map, Value, json};

/// Why there is no token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoToken {
    #[error("no source of tokens: set `enable.sasl.oauthbearer.unsecure.jwt` and `sasl.oauthbearer.config`")]
    NoSource,
    #[error(
        "`sasl.oauthbearer.config` has `{0}`, which is not among `principal`, `principalClaimName`, `scope`, `scopeClaimName` and `lifeSeconds`"
    )]
    Unknown(String),
    #[error("`sasl.oauthbearer.config` has a wrong `{0}`")]
    Wrong(&'static str),
}

/// Returns the token that `sasl.oauthbearer.config` describes, in librdkafka's own grammar: `NAME=VALUE` between spaces.
pub(crate) fn unsecured(config: Option<&str>, now: Timestamp) -> Result<OAuthToken, NoToken> {
    let (mut principal, mut principal_claim) = ("", "sub");
    let (mut scope, mut scope_claim) = ("", "scope");
    let mut life = 3_600;
    for pair in config.ok_or(NoToken::NoSource)?.split_ascii_whitespace() {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        match name {
            "principal" => principal = value,
            "principalClaimName" => principal_claim = value,
            "scope" => scope = value,
            "scopeClaimName" => scope_claim = value,
            "lifeSeconds" => life = value.parse::<u32>().map_err(|_| NoToken::Wrong("lifeSeconds"))?,
            _ => return Err(NoToken::Unknown(name.to_owned())),
        }
    }
    if principal.is_empty() {
        return Err(NoToken::Wrong("principal"));
    }
    let issued = now.as_second();
    let expires = issued + i64::from(life);
    let mut claims = Map::new();
    claims.insert(principal_claim.to_owned(), principal.into());
    claims.insert("iat".to_owned(), issued.into());
    claims.insert("exp".to_owned(), expires.into());
    if !scope.is_empty() {
        claims.insert(scope_claim.to_owned(), scope.split(',').collect());
    }
    let encoded = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let token = format!("{}.{}.", encoded(json!({ "alg": "none" })), encoded(Value::Object(claims)));
    Ok(OAuthToken { token, principal_name: principal.to_owned(), lifetime_ms: expires * 1_000 })
}

#[cfg(test)]
mod tests {
    use super::{NoToken, unsecured};
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use jiff::Timestamp;

    fn made(config: &str) -> Result<(String, i64), NoToken> {
        let token = unsecured(Some(config), Timestamp::from_second(100).unwrap())?;
        let [header, claims, ""] = &token.token.split('.').collect::<Vec<_>>()[..] else {
            panic!("three parts, the last empty: {}", token.token)
        };
        let text = |part| String::from_utf8(URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap();
        assert_eq!(text(header), r#"{"alg":"none"}"#);
        Ok((text(claims), token.lifetime_ms))
    }

    #[test]
    fn a_token_has_what_its_description_says() {
        let claims = r#"{"sub":"claims","iat":100,"exp":105,"scope":["a","b"]}"#;
        assert_eq!(made("principal=claims scope=a,b lifeSeconds=5"), Ok((claims.to_owned(), 105_000)));
        let claims = r#"{"who":"claims","iat":100,"exp":3700}"#;
        let config = "principal=claims principalClaimName=who";
        assert_eq!(made(config), Ok((claims.to_owned(), 3_700_000)));
    }

    #[test]
    fn a_wrong_description_is_told() {
        assert_eq!(unsecured(None, Timestamp::UNIX_EPOCH).err(), Some(NoToken::NoSource));
        assert_eq!(made(""), Err(NoToken::Wrong("principal")));
        assert_eq!(made("principal=a lifeSeconds=x"), Err(NoToken::Wrong("lifeSeconds")));
        assert_eq!(made("extension_a=b"), Err(NoToken::Unknown("extension_a".to_owned())));
    }
}
