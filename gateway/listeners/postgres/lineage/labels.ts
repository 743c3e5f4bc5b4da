/** Under which name an output column goes on, as PostgreSQL would call it. */
import { listOf, nodeOf, qualified, stringOf, stringsOf, textOf, treeOf, unwrap } from '../inspect/tree.ts';

const NAMELESS = '?column?';
const MAX_DEPTH = 20; // casts in casts

/** Undefined: PostgreSQL gives it a name that is not worked out here; any name may mean it. */
export function labelOf(node: unknown, depth = 0): string | undefined {
  const found = unwrap(node);
  if (!found || depth > MAX_DEPTH) return undefined;
  const { type, body } = found;
  switch (type) {
    case 'ColumnRef':
      return stringOf(listOf(body.fields).at(-1));
    case 'FuncCall':
      return qualified(body.funcname).name;
    case 'A_Indirection':
      return stringsOf(body.indirection).at(-1) ?? labelOf(body.arg, depth + 1);
    case 'TypeCast':
      return castLabel(body.arg, body.typeName, depth);
    case 'CollateClause':
      return labelOf(body.arg, depth + 1);
    case 'A_Expr':
      return body.kind === 'AEXPR_NULLIF' ? 'nullif' : NAMELESS;
    case 'A_Const':
      return body.boolval === undefined ? NAMELESS : undefined;
    case 'ParamRef':
    case 'BoolExpr':
    case 'NullTest':
    case 'BooleanTest':
      return NAMELESS;
    case 'CaseExpr':
      return body.defresult === undefined ? 'case' : undefined;
    case 'CoalesceExpr':
      return 'coalesce';
    case 'MinMaxExpr':
      return body.op === 'IS_LEAST' ? 'least' : 'greatest';
    case 'RowExpr':
      return 'row';
    case 'A_ArrayExpr':
      return 'array';
    case 'GroupingFunc':
      return 'grouping';
    case 'SubLink':
      return subLinkLabel(body.subLinkType, body.subselect, depth);
    default:
      return undefined;
  }
}

/** A column's or function's own name outlives a cast, a constant is called as its type; others are not worked out. */
function castLabel(arg: unknown, typeName: unknown, depth: number): string | undefined {
  const type = unwrap(arg)?.type ?? '';
  if (type === 'ColumnRef' || type === 'FuncCall') return labelOf(arg, depth + 1);
  return type === 'A_Const' || type === 'ParamRef' ? qualified(treeOf(typeName).names).name : undefined;
}

function subLinkLabel(type: unknown, subselect: unknown, depth: number): string | undefined {
  if (type === 'EXISTS_SUBLINK') return 'exists';
  if (type === 'ARRAY_SUBLINK') return 'array';
  if (type !== 'EXPR_SUBLINK') return NAMELESS;
  const target = nodeOf(listOf(nodeOf(subselect, 'SelectStmt')?.targetList)[0], 'ResTarget');
  return target && (textOf(target.name) || labelOf(target.val, depth + 1));
}
