/** The positive list: nodes of a query that mean nothing beyond their parts. What is not here is `unknown`. */

const words = (text: string): ReadonlySet<string> => new Set(text.trim().split(/\s+/));

/** Nodes without parts that could do anything. */
export const LEAVES = words(`
  A_Const A_Star Alias String Integer Float Boolean BitString SetToDefault CurrentOfExpr SQLValueFunction
  JsonFormat CTESearchClause
`);

/** Nodes that are what their parts are. */
export const PLAIN_NODES = words(`
  A_ArrayExpr A_Indices A_Indirection BoolExpr BooleanTest CaseExpr CaseWhen CoalesceExpr CollateClause ColumnDef
  CTECycleClause GroupingFunc GroupingSet IndexElem InferClause JoinExpr List MergeWhenClause MinMaxExpr
  MultiAssignRef NamedArgExpr NullTest OnConflictClause RangeFunction RangeSubselect RangeTableFunc
  RangeTableFuncCol ResTarget ReturningClause ReturningOption RowExpr TypeCast WindowDef XmlExpr XmlSerialize
  JsonAggConstructor JsonArgument JsonArrayAgg JsonArrayConstructor JsonArrayQueryConstructor JsonBehavior
  JsonFuncExpr JsonIsPredicate JsonKeyValue JsonObjectAgg JsonObjectConstructor JsonOutput JsonParseExpr
  JsonReturning JsonScalarExpr JsonSerializeExpr JsonTable JsonTableColumn JsonTablePathSpec JsonValueExpr
`);

/** Fields whose type the grammar fixes, so that the tree carries the bare fields. */
const FIELD_TYPES: ReadonlyMap<string, string> = new Map([
  ['alias', 'Alias'],
  ['join_using_alias', 'Alias'],
  ['typeName', 'TypeName'],
  ['over', 'WindowDef'],
  ['collClause', 'CollateClause'],
  ['infer', 'InferClause'],
  ['onConflictClause', 'OnConflictClause'],
  ['returningClause', 'ReturningClause'],
  ['larg', 'SelectStmt'],
  ['rarg', 'SelectStmt'],
  ['relation', 'RangeVar'],
  ['format', 'JsonFormat'],
  ['returning', 'JsonReturning'],
  ['on_empty', 'JsonBehavior'],
  ['on_error', 'JsonBehavior'],
  ['context_item', 'JsonValueExpr'],
  ['output', 'JsonOutput'],
  ['pathspec', 'JsonTablePathSpec'],
  ['value', 'JsonValueExpr'],
  ['expr', 'JsonValueExpr'],
  ['val', 'JsonValueExpr'],
  ['arg', 'JsonValueExpr'],
  ['constructor', 'JsonAggConstructor'],
]);

export const typeOfField = (field: string): string | undefined => FIELD_TYPES.get(field);
