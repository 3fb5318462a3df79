//! The declaration of a resource: one constant table drives everything.

use std::future::Future;
use std::pin::Pin;

use kernel::ApiError;

use crate::document::Draft;
use crate::{Ctx, Reply};

/// A boxed future, as handlers return it.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What a client does to a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verb {
    Create,
    List,
    Fetch,
    Update,
    Delete,
}

impl Verb {
    /// The last part of a restricted key's permission string.
    pub fn permission(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::List => "list",
            Self::Fetch => "read",
            Self::Update => "update",
            Self::Delete => "delete",
        }
    }
}

/// The two families of the wire (rest-conventions §4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// `api.twilio.com/2010-04-01`: account in the path, RFC 2822, relative `uri`.
    V2010,
    /// Every other host: ISO 8601, absolute `url`, `meta` paging.
    Product,
}

/// The type of a value on the wire.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Wire {
    Text,
    /// Inclusive range.
    Integer(i64, i64),
    Number,
    Boolean,
    /// A SID with one of these prefixes; without any, one of whatever kind.
    Sid(&'static [&'static str]),
    /// An absolute http(s) URL whose host has no underscore.
    Url,
    /// `GET` or `POST`.
    Method,
    Enum(&'static [&'static str]),
    /// Any of the date forms of rest-conventions §3.
    DateTime,
    /// RFC 2822 in responses of the 2010 API.
    Rfc2822,
    /// ISO 8601 in responses of every other API.
    Iso8601,
    /// `YYYY-MM-DD`.
    Date,
    /// `YYYY-MM-DD`, or days from today as `-30days`; validated by its handler.
    Day,
    /// A phone number or channel address; validated by its handler.
    Address,
    /// JSON text in a form field; an object or array in responses.
    Json,
    /// An object whose values are URIs.
    UriMap,
    /// A form prefix: `AddOns.x.y=1` arrives as the pair (`x.y`, `1`).
    PrefixedMap,
}

/// A form or query parameter.
#[derive(Clone, Copy, Debug)]
pub struct Param {
    pub name: &'static str,
    pub wire: Wire,
    /// Code of the error when it is absent; `None` when it may be.
    pub required: Option<u32>,
    /// Code of the error when its value is malformed.
    pub code: u32,
    /// Longest value in characters.
    pub max_chars: u32,
    /// A repeated key carries a list.
    pub repeats: bool,
    /// Value of a document field when the parameter is absent at creation.
    pub default: Option<&'static str>,
}

impl Param {
    pub const fn new(name: &'static str, wire: Wire) -> Self {
        Self {
            name,
            wire,
            required: None,
            code: 20001,
            max_chars: 65_536,
            repeats: false,
            default: None,
        }
    }

    pub const fn text(name: &'static str, max_chars: u32) -> Self {
        let mut param = Self::new(name, Wire::Text);
        param.max_chars = max_chars;
        param
    }

    pub const fn boolean(name: &'static str) -> Self {
        Self::new(name, Wire::Boolean)
    }

    pub const fn integer(name: &'static str, min: i64, max: i64) -> Self {
        Self::new(name, Wire::Integer(min, max))
    }

    /// A URL; malformed is 21402 unless changed.
    pub const fn url(name: &'static str) -> Self {
        Self::new(name, Wire::Url).code(21402)
    }

    /// `GET` or `POST`; malformed is 21403 unless changed.
    pub const fn method(name: &'static str) -> Self {
        Self::new(name, Wire::Method).code(21403).default("POST")
    }

    pub const fn sid(name: &'static str, prefixes: &'static [&'static str]) -> Self {
        Self::new(name, Wire::Sid(prefixes))
    }

    pub const fn one_of(name: &'static str, values: &'static [&'static str]) -> Self {
        Self::new(name, Wire::Enum(values))
    }

    pub const fn date_time(name: &'static str) -> Self {
        Self::new(name, Wire::DateTime)
    }

    pub const fn address(name: &'static str) -> Self {
        Self::new(name, Wire::Address)
    }

    pub const fn required(mut self, code: u32) -> Self {
        self.required = Some(code);
        self
    }

    pub const fn code(mut self, code: u32) -> Self {
        self.code = code;
        self
    }

    pub const fn default(mut self, value: &'static str) -> Self {
        self.default = Some(value);
        self
    }

    pub const fn list(mut self) -> Self {
        self.repeats = true;
        self
    }
}

/// A field of a response.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    pub name: &'static str,
    pub wire: Wire,
    /// What a document shows when it has no value: JSON text.
    pub empty: &'static str,
}

impl Field {
    pub const fn new(name: &'static str, wire: Wire) -> Self {
        Self { name, wire, empty: "null" }
    }

    pub const fn text(name: &'static str) -> Self {
        Self::new(name, Wire::Text)
    }

    pub const fn sid(name: &'static str, prefixes: &'static [&'static str]) -> Self {
        Self::new(name, Wire::Sid(prefixes))
    }

    pub const fn empty(mut self, json: &'static str) -> Self {
        self.empty = json;
        self
    }
}

/// Who may use a resource beside the account's own token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Any credential; restricted keys need `/twilio/{0}/{verb}` in their policy.
    Keys(&'static str),
    /// Not standard or restricted keys (rest-conventions §12.1): 20003 / 401.
    AccountAdmin,
    /// Like `Keys`, but the path without extension is open to whoever knows it:
    /// media, whose SIDs cannot be guessed (messaging §5).
    PublicBytes(&'static str),
    /// No credential at all.
    Public,
}

/// A resource without its behaviour.
#[derive(Clone, Copy, Debug)]
pub struct Table {
    pub name: &'static str,
    /// First label of the host: `api`, `verify`.
    pub product: &'static str,
    pub dialect: Dialect,
    /// Collection path without extension.
    pub list: Option<&'static str>,
    /// Instance path without extension; a singleton has no `{Sid}`.
    pub instance: Option<&'static str>,
    /// Name of the array in list responses.
    pub key: &'static str,
    pub sid_prefix: &'static str,
    pub page_size_max: u32,
    pub fields: &'static [Field],
    /// Name and path behind the instance path of `subresource_uris` or `links`.
    pub links: &'static [(&'static str, &'static str)],
    pub access: Access,
    /// In the development profile an unknown SID of this kind comes into being.
    pub adoptable: bool,
    /// The instance path belongs to another table, which routes it.
    pub instance_elsewhere: bool,
    /// List answers have the paging members around the array.
    pub paging_members: bool,
    /// The kind of document that the path's parent must be; 20404 when it does not exist.
    pub parent: Option<&'static str>,
    /// The SIDs are those of other resources: what is claimed under them is not this one's.
    pub borrowed_sids: bool,
}

impl Table {
    /// A resource of the 2010-04-01 API; `path` begins behind `/Accounts/{AccountSid}`.
    pub const fn v2010(name: &'static str, list: &'static str, instance: &'static str) -> Self {
        Self {
            name,
            product: "api",
            dialect: Dialect::V2010,
            list: Some(list),
            instance: Some(instance),
            key: "",
            sid_prefix: "",
            page_size_max: 1000,
            fields: &[],
            links: &[],
            access: Access::Keys("api"),
            adoptable: false,
            instance_elsewhere: false,
            paging_members: true,
            parent: None,
            borrowed_sids: false,
        }
    }

    /// A resource of another host.
    pub const fn product(
        name: &'static str,
        product: &'static str,
        list: &'static str,
        instance: &'static str,
    ) -> Self {
        let mut table = Self::v2010(name, list, instance);
        table.product = product;
        table.dialect = Dialect::Product;
        table
    }

    /// Drops the collection path: a singleton.
    pub const fn singleton(mut self) -> Self {
        self.list = None;
        self
    }

    /// Drops the instance path: only a collection.
    pub const fn collection(mut self) -> Self {
        self.instance = None;
        self
    }

    /// A second collection of resources whose instances another table routes.
    pub const fn collection_of_another(mut self) -> Self {
        self.instance_elsewhere = true;
        self
    }

    /// List answers are the array and its `uri` alone (rest-conventions §7.2).
    pub const fn without_paging_members(mut self) -> Self {
        self.paging_members = false;
        self
    }

    pub const fn key(mut self, key: &'static str) -> Self {
        self.key = key;
        self
    }

    pub const fn sid(mut self, prefix: &'static str) -> Self {
        self.sid_prefix = prefix;
        self
    }

    pub const fn fields(mut self, fields: &'static [Field]) -> Self {
        self.fields = fields;
        self
    }

    pub const fn links(mut self, links: &'static [(&'static str, &'static str)]) -> Self {
        self.links = links;
        self
    }

    pub const fn access(mut self, access: Access) -> Self {
        self.access = access;
        self
    }

    /// The document that the path names before this one is of this kind, and must exist.
    pub const fn under(mut self, kind: &'static str) -> Self {
        self.parent = Some(kind);
        self
    }

    pub const fn borrowed_sids(mut self) -> Self {
        self.borrowed_sids = true;
        self
    }

    pub const fn adoptable(mut self) -> Self {
        self.adoptable = true;
        self
    }
}

/// A handler: the product's state and the request in, a reply out.
pub type Handler<S> = for<'a> fn(&'a S, &'a Ctx) -> BoxFuture<'a, Result<Reply, ApiError>>;

/// What a product adds to a document before it is written.
pub type Hook<S> = for<'a> fn(&'a S, &'a Ctx, &'a mut Draft) -> BoxFuture<'a, Result<(), ApiError>>;

/// How an operation is carried out.
pub enum Run<S: 'static> {
    /// The generic verb on the document table.
    Document,
    /// The generic verb, with the product's word before the commit.
    DocumentWith(Hook<S>),
    /// The product's own function.
    Handler(Handler<S>),
}

impl<S> Clone for Run<S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S> Copy for Run<S> {}

/// An operation without its behaviour.
#[derive(Clone, Copy, Debug)]
pub struct OpDecl {
    pub verb: Verb,
    /// Status of success.
    pub status: u16,
    /// Checked in this order; the first fault is the answer.
    pub params: &'static [Param],
    /// Works with test credentials (rest-conventions §13).
    pub with_test_credentials: bool,
    /// A creation whose path is the instance's.
    pub at_instance: bool,
    /// The body is a JSON object whose members are the parameters.
    pub json: bool,
    /// The body may be such an object instead of a form.
    pub json_too: bool,
    /// Fields of this operation's answer, where they are not the table's.
    pub fields: Option<&'static [Field]>,
}

/// One operation of a resource.
pub struct Op<S: 'static> {
    pub decl: OpDecl,
    pub run: Run<S>,
}

impl<S> Op<S> {
    const fn new(verb: Verb, status: u16, params: &'static [Param]) -> Self {
        let decl = OpDecl {
            verb,
            status,
            params,
            with_test_credentials: false,
            at_instance: false,
            json: false,
            json_too: false,
            fields: None,
        };
        Self { decl, run: Run::Document }
    }

    pub const fn create(params: &'static [Param]) -> Self {
        Self::new(Verb::Create, 201, params)
    }

    pub const fn list(params: &'static [Param]) -> Self {
        Self::new(Verb::List, 200, params)
    }

    pub const fn fetch() -> Self {
        Self::new(Verb::Fetch, 200, &[])
    }

    pub const fn update(params: &'static [Param]) -> Self {
        Self::new(Verb::Update, 200, params)
    }

    pub const fn delete() -> Self {
        Self::new(Verb::Delete, 204, &[])
    }

    pub const fn by(mut self, handler: Handler<S>) -> Self {
        self.run = Run::Handler(handler);
        self
    }

    pub const fn with(mut self, hook: Hook<S>) -> Self {
        self.run = Run::DocumentWith(hook);
        self
    }

    pub const fn params(mut self, params: &'static [Param]) -> Self {
        self.decl.params = params;
        self
    }

    pub const fn status(mut self, status: u16) -> Self {
        self.decl.status = status;
        self
    }

    pub const fn with_test_credentials(mut self) -> Self {
        self.decl.with_test_credentials = true;
        self
    }

    pub const fn at_instance(mut self) -> Self {
        self.decl.at_instance = true;
        self
    }

    pub const fn json(mut self) -> Self {
        self.decl.json = true;
        self
    }

    /// Takes a JSON object as well as a form.
    pub const fn or_json(mut self) -> Self {
        self.decl.json_too = true;
        self
    }

    /// The answer has these fields instead of the table's, such as a secret shown once.
    pub const fn fields(mut self, fields: &'static [Field]) -> Self {
        self.decl.fields = Some(fields);
        self
    }
}

/// A resource with its behaviour; `S` is the product's state.
pub struct Resource<S: 'static> {
    pub table: Table,
    pub ops: &'static [Op<S>],
}
