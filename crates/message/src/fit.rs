//! Brings the value of an expression to the form in which its declared type holds it exactly.

use rust_decimal::Decimal;
use seamline_contract::attribute::Type;
use seamline_contract::value::Value;

/// Returns a value as its type holds it; none where that would round, cut or change it.
pub fn fit(value: Value, ty: &Type) -> Option<Value> {
    match (value, ty) {
        (Value::Null, _) => Some(Value::Null),
        (Value::Integer(number), Type::Decimal { precision, scale }) => {
            fit_decimal(Decimal::from(number), *precision, *scale)
        }
        (Value::Decimal(number), Type::Decimal { precision, scale }) => {
            fit_decimal(number, *precision, *scale)
        }
        (Value::Approximate(number), Type::Decimal { .. }) => Some(Value::Approximate(number)),
        (value, ty) => {
            let fits = matches!(
                (&value, ty),
                (Value::Boolean(_), Type::Boolean)
                    | (Value::Integer(_), Type::Integer)
                    | (Value::String(_), Type::String | Type::Enum)
                    | (Value::Date(_), Type::Date)
                    | (Value::Timestamp(_), Type::Timestamp)
                    | (Value::Duration(_), Type::Duration)
                    | (Value::Bytes(_), Type::Bytes)
                    | (Value::Uuid(_), Type::Uuid)
                    | (Value::List(_), Type::List(_))
                    | (Value::Map(_), Type::Map(_) | Type::Object(_))
            );
            fits.then_some(value)
        }
    }
}

fn fit_decimal(number: Decimal, precision: u8, scale: u8) -> Option<Value> {
    let mut exact = number;
    exact.rescale(u32::from(scale));
    let digits = exact.mantissa().unsigned_abs().checked_ilog10().map_or(1, |log| log + 1);
    (exact == number && exact.scale() == u32::from(scale) && digits <= u32::from(precision))
        .then_some(Value::Decimal(exact))
}

#[cfg(test)]
mod tests {
    use super::fit;
    use rust_decimal::Decimal;
    use seamline_contract::attribute::Type;
    use seamline_contract::value::Value;

    #[test]
    fn a_decimal_is_brought_to_the_scale_of_its_type() {
        let ty = Type::Decimal { precision: 4, scale: 2 };
        assert_eq!(fit(Value::Integer(12), &ty), Some(Value::Decimal(Decimal::new(1200, 2))));
        assert_eq!(fit(Value::Decimal(Decimal::new(15, 1)), &ty), Some(Value::Decimal(Decimal::new(150, 2))));
    }

    #[test]
    fn a_value_that_would_be_rounded_or_cut_does_not_fit() {
        let ty = Type::Decimal { precision: 4, scale: 2 };
        assert_eq!(fit(Value::Decimal(Decimal::new(1234, 3)), &ty), None);
        assert_eq!(fit(Value::Decimal(Decimal::new(12345, 2)), &ty), None);
        assert_eq!(fit(Value::String("1".to_owned()), &Type::Integer), None);
    }
}
