//! Events as resources: their SIDs, and lists of them by date.

use kernel::{ApiError, Sid, SidGenerator, Timestamp};
use rest::{Ctx, Cursor};
use store::{Row, Value};

/// The SID of an event: its time in the leading bits, as in every SID, and its number.
pub fn sid_of(prefix: &str, at: Timestamp, seq: i64) -> Sid {
    SidGenerator::numbered(prefix, at, seq.unsigned_abs())
}

/// The number of the event with this SID.
pub fn seq_of(sid: Sid) -> i64 {
    // The cast keeps the low 64 bits, where the number is.
    i64::try_from(sid.bits() as u64).unwrap_or(i64::MAX)
}

/// A statement over one account's events that grows by conditions.
pub struct Query {
    sql: String,
    params: Vec<Value>,
}

impl Query {
    /// `columns` of the events that meet `condition`.
    pub fn new(columns: &str, condition: &str) -> Self {
        let sql = format!("SELECT {columns} FROM event WHERE account_sid = $1 AND {condition}");
        Self { sql, params: Vec::new() }
    }

    /// Adds `condition` with `value` behind it.
    pub fn and(&mut self, condition: &str, value: impl Into<Value>) {
        self.params.push(value.into());
        self.sql.push_str(&format!(" AND {condition} ${}", self.params.len() + 1));
    }

    /// Adds `StartDate` and `EndDate`, both inclusive; a bare end date is that whole day.
    pub fn between(&mut self, ctx: &Ctx) {
        let (from, before) = ctx.form.range(["", "EndDate", "StartDate"]);
        if let Some(from) = from {
            self.and("at >=", from);
        }
        if let Some(before) = before {
            self.and("at <", before);
        }
    }

    /// The page that is asked for, newest first, and whether more follow.
    ///
    /// # Errors
    /// 21481 / 400 for a page token of another list; 20503 / 503 when the store is away.
    pub async fn page(mut self, ctx: &Ctx, prefix: &str) -> Result<(Vec<Row>, bool), ApiError> {
        let seq = |key: &str| match key.parse::<Sid>() {
            Ok(sid) if sid.prefix() == prefix => Ok(seq_of(sid)),
            _ => Err(ApiError::new(21481, format!("PageToken names '{key}', none of this list"))),
        };
        let order = match &ctx.page.cursor {
            Cursor::Offset => "DESC",
            Cursor::After(key) => {
                self.and("seq <", seq(key)?);
                "DESC"
            }
            Cursor::Before(key) => {
                self.and("seq >", seq(key)?);
                "ASC"
            }
        };
        self.params.push(ctx.page.limit().into());
        self.params.push(ctx.page.offset().into());
        let (limit, offset) = (self.params.len(), self.params.len() + 1);
        let sql = format!("{} ORDER BY seq {order} LIMIT ${limit} OFFSET ${offset}", self.sql);
        let rows = ctx.store.query(&sql, self.params).await;
        Ok(ctx.page.cut(rows.map_err(|error| rest::store_error(ctx, error))?))
    }

    /// The one event of the SID in the path, or 20404 / 404.
    pub async fn fetch(mut self, ctx: &Ctx, prefix: &str) -> Result<Row, ApiError> {
        let sid = ctx.param_sid("Sid", &[prefix])?;
        self.and("seq =", seq_of(sid));
        let row = ctx.store.point(&self.sql, self.params).await;
        let row = row.map_err(|error| rest::store_error(ctx, error))?;
        // Its number alone does not name it.
        row.filter(|row| sid_of(prefix, row.time(1), row.int(0)) == sid)
            .ok_or_else(|| ctx.not_found())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sid_holds_time_and_number() {
        let at = Timestamp::parse("2026-01-02T03:04:05Z").unwrap();
        let sid = sid_of("NO", at, 77);
        assert_eq!(seq_of(sid), 77);
        assert!(sid_of("NO", at, 78) > sid);
        assert_ne!(sid_of("NO", Timestamp::EPOCH, 77), sid);
    }
}
