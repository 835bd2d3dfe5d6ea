/**
 * What a query may call: everything else is refused. Listed are functions that compute from their
 * arguments alone. Left out is what reads files or dictionaries of others, speaks to the network,
 * runs or waits, tells about the server, or reads bytes that it trusts; and table functions other
 * than those that count. Names are those of ClickHouse 26.7, `system.functions`.
 */
const SCALARS = `
  abs accurateCast accurateCastOrDefault accurateCastOrNull acos acosh addDate addDays addHours
  addInterval addMicroseconds addMilliseconds addMinutes addMonths addNanoseconds addQuarters
  addSeconds addTupleOfIntervals addWeeks addYears age alphaTokens and appendTrailingCharIfAbsent
  array arrayAll arrayAUCPR arrayAutocorrelation arrayAvg arrayBottomK arrayCompact arrayConcat
  arrayCount arrayCumSum arrayCumSumNonNegative arrayDifference arrayDistinct arrayDotProduct
  arrayElement arrayElementOrNull arrayEnumerate arrayEnumerateDense arrayEnumerateDenseRanked
  arrayEnumerateUniq arrayEnumerateUniqRanked arrayExcept arrayExists arrayFill arrayFilter
  arrayFirst arrayFirstIndex arrayFirstOrNull arrayFlatten arrayFold arrayIntersect
  arrayJaccardIndex arrayJoin arrayLast arrayLastIndex arrayLastOrNull arrayLevenshteinDistance
  arrayLevenshteinDistanceWeighted arrayMap arrayMax arrayMin arrayNormalizedGini
  arrayPartialReverseSort arrayPartialSort arrayPopBack arrayPopFront arrayProduct arrayPushBack
  arrayPushFront arrayRandomSample arrayReduce arrayReduceInRanges arrayRemove arrayResize
  arrayReverse arrayReverseFill arrayReverseSort arrayReverseSplit arrayROCAUC arrayRotateLeft
  arrayRotateRight arrayShiftLeft arrayShiftRight arrayShingles arraySimilarity arraySlice
  arraySort arraySplit arrayStringConcat arraySum arraySymmetricDifference arrayTopK
  arrayTranspose arrayUnion arrayUniq arrayWithConstant arrayZip arrayZipUnaligned ascii asin
  asinh assumeNotNull atan atan2 atanh avg2 bar base32Decode base32Encode base58Decode
  base58Encode base64Decode base64Encode base64URLDecode base64URLEncode basename bin bitAnd
  bitCount bitHammingDistance bitmapAnd bitmapAndCardinality bitmapAndnot bitmapAndnotCardinality
  bitmapBuild bitmapCardinality bitmapContains bitmapHasAll bitmapHasAny bitmapMax bitmapMin
  bitmapOr bitmapOrCardinality bitmapSubsetInRange bitmapSubsetLimit bitmapToArray bitmapTransform
  bitmapXor bitmapXorCardinality bitmaskToArray bitmaskToList bitNot bitOr bitPositionsToArray
  bitRotateLeft bitRotateRight bitShiftLeft bitShiftRight bitSlice bitTest bitTestAll bitTestAny
  bitXor byteHammingDistance byteSize caseFoldUTF8 cbrt ceil changeDay changeHour changeMinute
  changeMonth changeSecond changeYear char cityHash64 clamp coalesce compareSubstrings concat
  concatAssumeInjective concatWithSeparator concatWithSeparatorAssumeInjective conv cos cosh
  cosineDistance countDigits countEqual countMatches countMatchesCaseInsensitive countSubstrings
  countSubstringsCaseInsensitive countSubstringsCaseInsensitiveUTF8 CRC32 CRC32IEEE CRC64
  cutFragment cutIPv6 cutQueryString cutQueryStringAndFragment cutToFirstSignificantSubdomain
  cutToFirstSignificantSubdomainCustom cutToFirstSignificantSubdomainCustomRFC
  cutToFirstSignificantSubdomainCustomWithWWW cutToFirstSignificantSubdomainCustomWithWWWRFC
  cutToFirstSignificantSubdomainRFC cutToFirstSignificantSubdomainWithWWW
  cutToFirstSignificantSubdomainWithWWWRFC cutURLParameter cutWWW damerauLevenshteinDistance
  dateDiff dateName dateTime64ToSnowflakeID dateTimeToSnowflakeID dateTimeToUUIDv7 dateTrunc
  decodeURLComponent decodeURLFormComponent decodeXMLComponent degrees dictGet dictGetOrDefault
  dictGetOrNull dictHas divide divideDecimal divideOrNull domain domainRFC domainWithoutWWW
  domainWithoutWWWRFC dotProduct e editDistance editDistanceUTF8 empty emptyArrayDate
  emptyArrayDateTime emptyArrayFloat32 emptyArrayFloat64 emptyArrayInt16 emptyArrayInt32
  emptyArrayInt64 emptyArrayInt8 emptyArrayString emptyArrayUInt16 emptyArrayUInt32
  emptyArrayUInt64 emptyArrayUInt8 encodeURLComponent encodeURLFormComponent encodeXMLComponent
  endsWith endsWithCaseInsensitive endsWithCaseInsensitiveUTF8 endsWithUTF8 equals erf erfc exp
  exp10 exp2 extract extractAll extractAllGroupsHorizontal extractAllGroupsVertical extractGroups
  extractKeyValuePairs extractKeyValuePairsWithEscaping extractURLParameter
  extractURLParameterNames extractURLParameters factorial farmFingerprint64 farmHash64
  finalizeAggregation firstLine firstNonDefault firstSignificantSubdomain
  firstSignificantSubdomainCustom firstSignificantSubdomainCustomRFC firstSignificantSubdomainRFC
  flattenTuple floor format formatDateTime formatDateTimeInJodaSyntax formatReadableDecimalSize
  formatReadableQuantity formatReadableSize formatReadableTimeDelta fragment fromDaysSinceYearZero
  fromDaysSinceYearZero32 fromModifiedJulianDay fromModifiedJulianDayOrNull fromUnixTimestamp
  fromUnixTimestamp64Micro fromUnixTimestamp64Milli fromUnixTimestamp64Nano
  fromUnixTimestamp64Second fromUnixTimestampInJodaSyntax fromUTCTimestamp gccMurmurHash gcd
  generateUUIDv4 generateUUIDv7 greater greaterOrEquals greatest grouping halfMD5 has hasAll
  hasAllTokens hasAny hasAnyTokens hasSubsequence hasSubsequenceCaseInsensitive
  hasSubsequenceCaseInsensitiveUTF8 hasSubsequenceUTF8 hasSubstr hasToken hasTokenCaseInsensitive
  hasTokenCaseInsensitiveOrNull hasTokenOrNull hex hilbertDecode hilbertEncode hiveHash hop hopEnd
  hopStart hypot icebergHash identity if ifNotFinite ifNull ignore ilike indexOf
  indexOfAssumeSorted initcap initcapUTF8 intDiv intDivOrNull intDivOrZero intExp10 intExp2
  intHash32 intHash64 IPv4CIDRToRange IPv4NumToString IPv4NumToStringClassC IPv4StringToNum
  IPv4StringToNumOrDefault IPv4StringToNumOrNull IPv4ToIPv6 IPv6CIDRToRange IPv6NumToString
  IPv6StringToNum IPv6StringToNumOrDefault IPv6StringToNumOrNull isConstant isDistinctFrom
  isFinite isInfinite isIPAddressInRange isIPv4String isIPv6String isNaN isNotDistinctFrom
  isNotNull isNull isNullable isPrime isProbablePrime isValidASCII isValidJSON isValidUTF8
  isZeroOrNull jaroSimilarity jaroWinklerSimilarity javaHash javaHashUTF16LE JSON_EXISTS
  JSON_QUERY JSON_VALUE JSONArrayLength JSONExtract JSONExtractArrayRaw
  JSONExtractArrayRawCaseInsensitive JSONExtractBool JSONExtractBoolCaseInsensitive
  JSONExtractCaseInsensitive JSONExtractFloat JSONExtractFloatCaseInsensitive JSONExtractInt
  JSONExtractIntCaseInsensitive JSONExtractKeys JSONExtractKeysAndValues
  JSONExtractKeysAndValuesCaseInsensitive JSONExtractKeysAndValuesRaw
  JSONExtractKeysAndValuesRawCaseInsensitive JSONExtractKeysCaseInsensitive JSONExtractRaw
  JSONExtractRawCaseInsensitive JSONExtractString JSONExtractStringCaseInsensitive JSONExtractUInt
  JSONExtractUIntCaseInsensitive JSONHas JSONKey JSONLength JSONMergePatch JSONType
  jumpConsistentHash kafkaMurmurHash keccak256 kostikConsistentHash L1Distance L1Norm L1Normalize
  L2Distance L2Norm L2Normalize L2SquaredDistance L2SquaredNorm lcm least left leftPad leftPadUTF8
  leftUTF8 length lengthUTF8 less lessOrEquals lgamma like LinfDistance LinfNorm LinfNormalize
  localtime locate log log10 log1p log2 lower lowerUTF8 LpDistance LpNorm LpNormalize
  MACNumToString MACStringToNum MACStringToOUI makeDate makeDate32 makeDateTime makeDateTime64 map
  mapAdd mapAll mapApply mapConcat mapContainsKey mapContainsKeyLike mapContainsValue
  mapContainsValueLike mapExists mapExtractKeyLike mapExtractValueLike mapFilter mapFromArrays
  mapKeys mapPartialReverseSort mapPartialSort mapPopulateSeries mapReverseSort mapSort
  mapSubtract mapUpdate mapValues match materialize max2 MD4 MD5 metroHash64 midpoint min2 minus
  modulo moduloOrNull moduloOrZero monthName mortonDecode mortonEncode multiIf
  multiMatchAllIndices multiMatchAny multiMatchAnyIndex multiply multiplyDecimal
  multiSearchAllPositions multiSearchAllPositionsCaseInsensitive
  multiSearchAllPositionsCaseInsensitiveUTF8 multiSearchAllPositionsUTF8 multiSearchAny
  multiSearchAnyCaseInsensitive multiSearchAnyCaseInsensitiveUTF8 multiSearchAnyUTF8
  multiSearchFirstIndex multiSearchFirstIndexCaseInsensitive
  multiSearchFirstIndexCaseInsensitiveUTF8 multiSearchFirstIndexUTF8 multiSearchFirstPosition
  multiSearchFirstPositionCaseInsensitive multiSearchFirstPositionCaseInsensitiveUTF8
  multiSearchFirstPositionUTF8 murmurHash2_32 murmurHash2_64 murmurHash3_128 murmurHash3_32
  murmurHash3_64 naturalSortKey negate neighbor netloc ngramDistance ngramDistanceCaseInsensitive
  ngramDistanceCaseInsensitiveUTF8 ngramDistanceUTF8 ngrams ngramSearch ngramSearchCaseInsensitive
  ngramSearchCaseInsensitiveUTF8 ngramSearchUTF8 normalizedQueryHash normalizeQuery
  normalizeUTF8NFC normalizeUTF8NFD normalizeUTF8NFKC normalizeUTF8NFKCCasefold normalizeUTF8NFKD
  not notEmpty notEquals notILike notLike now now64 nullIf or overlay overlayUTF8 parseDateTime
  parseDateTime32BestEffort parseDateTime32BestEffortOrNull parseDateTime32BestEffortOrZero
  parseDateTime64 parseDateTime64BestEffort parseDateTime64BestEffortOrNull
  parseDateTime64BestEffortOrZero parseDateTime64BestEffortUS parseDateTime64BestEffortUSOrNull
  parseDateTime64BestEffortUSOrZero parseDateTime64InJodaSyntax parseDateTime64InJodaSyntaxOrNull
  parseDateTime64InJodaSyntaxOrZero parseDateTime64OrNull parseDateTime64OrZero
  parseDateTimeBestEffort parseDateTimeBestEffortOrNull parseDateTimeBestEffortOrZero
  parseDateTimeBestEffortUS parseDateTimeBestEffortUSOrNull parseDateTimeBestEffortUSOrZero
  parseDateTimeInJodaSyntax parseDateTimeInJodaSyntaxOrNull parseDateTimeInJodaSyntaxOrZero
  parseDateTimeOrNull parseDateTimeOrZero parseReadableSize parseTimeDelta path pathFull pi plus
  port portRFC position positionCaseInsensitive positionCaseInsensitiveUTF8 positionUTF8
  positiveModulo positiveModuloOrNull pow prettyPrintJSON printf proportionsZTest protocol
  queryString queryStringAndFragment radians rand rand64 randBernoulli randBinomial randCanonical
  randChiSquared randExponential randFisherF randLogNormal randNegativeBinomial randNormal
  randPoisson randStudentT randUniform range regexpExtract regexpPosition regexpQuoteMeta
  reinterpret reinterpretAsDate reinterpretAsDateTime reinterpretAsFloat32 reinterpretAsFloat64
  reinterpretAsInt128 reinterpretAsInt16 reinterpretAsInt256 reinterpretAsInt32 reinterpretAsInt64
  reinterpretAsInt8 reinterpretAsString reinterpretAsUInt128 reinterpretAsUInt16
  reinterpretAsUInt256 reinterpretAsUInt32 reinterpretAsUInt64 reinterpretAsUInt8
  reinterpretAsUUID removeDiacriticsUTF8 repeat replaceAll replaceOne replaceRegexpAll
  replaceRegexpOne replicate reverse reverseBySeparator reverseUTF8 right rightPad rightPadUTF8
  rightUTF8 RIPEMD160 round roundAge roundBankers roundDown roundDuration roundToExp2
  rowNumberInAllBlocks rowNumberInBlock runningDifference runningDifferenceStartingWithFirstValue
  SHA1 SHA224 SHA256 SHA384 SHA512 SHA512_256 sigmoid sign simpleJSONExtractBool
  simpleJSONExtractFloat simpleJSONExtractInt simpleJSONExtractRaw simpleJSONExtractString
  simpleJSONExtractUInt simpleJSONHas sin sinh sipHash128 sipHash128Reference sipHash64
  snowflakeIDToDateTime snowflakeIDToDateTime64 soundex space splitByChar splitByNonAlpha
  splitByRegexp splitByString splitByWhitespace sqidDecode sqidEncode sqr sqrt startsWith
  startsWithCaseInsensitive startsWithCaseInsensitiveUTF8 startsWithUTF8 stringBytesEntropy
  stringBytesUniq stringJaccardIndex stringJaccardIndexUTF8 subBitmap subDate substring
  substringIndex substringIndexUTF8 substringUTF8 subtractDays subtractHours subtractInterval
  subtractMicroseconds subtractMilliseconds subtractMinutes subtractMonths subtractNanoseconds
  subtractQuarters subtractSeconds subtractTupleOfIntervals subtractWeeks subtractYears tan tanh
  tgamma timeDiff timeSeriesRange timeSlot timeSlots timestamp timezone timezoneOf timezoneOffset
  toBFloat16 toBFloat16OrNull toBFloat16OrZero toBool toDate toDate32 toDate32OrDefault
  toDate32OrNull toDate32OrZero toDateOrDefault toDateOrNull toDateOrZero toDateTime toDateTime32
  toDateTime64 toDateTime64OrDefault toDateTime64OrNull toDateTime64OrZero toDateTimeOrDefault
  toDateTimeOrNull toDateTimeOrZero today toDayOfMonth toDayOfWeek toDayOfYear toDaysInMonth
  toDaysSinceYearZero toDecimal128 toDecimal128OrDefault toDecimal128OrNull toDecimal128OrZero
  toDecimal256 toDecimal256OrDefault toDecimal256OrNull toDecimal256OrZero toDecimal32
  toDecimal32OrDefault toDecimal32OrNull toDecimal32OrZero toDecimal64 toDecimal64OrDefault
  toDecimal64OrNull toDecimal64OrZero toDecimalString toFixedString toFloat32 toFloat32OrDefault
  toFloat32OrNull toFloat32OrZero toFloat64 toFloat64OrDefault toFloat64OrNull toFloat64OrZero
  toHour toInt128 toInt128OrDefault toInt128OrNull toInt128OrZero toInt16 toInt16OrDefault
  toInt16OrNull toInt16OrZero toInt256 toInt256OrDefault toInt256OrNull toInt256OrZero toInt32
  toInt32OrDefault toInt32OrNull toInt32OrZero toInt64 toInt64OrDefault toInt64OrNull
  toInt64OrZero toInt8 toInt8OrDefault toInt8OrNull toInt8OrZero toInterval toIntervalDay
  toIntervalHour toIntervalMicrosecond toIntervalMillisecond toIntervalMinute toIntervalMonth
  toIntervalNanosecond toIntervalQuarter toIntervalSecond toIntervalWeek toIntervalYear toIPv4
  toIPv4OrDefault toIPv4OrNull toIPv4OrZero toIPv6 toIPv6OrDefault toIPv6OrNull toIPv6OrZero
  toISOWeek toISOYear toJSONString tokens toLastDayOfMonth toLastDayOfWeek toLowCardinality
  toMicrosecond toMillisecond toMinute toModifiedJulianDay toModifiedJulianDayOrNull toMonday
  toMonth toMonthNumSinceEpoch toNanosecond toNullable topLevelDomain topLevelDomainRFC toQuarter
  toRelativeDayNum toRelativeHourNum toRelativeMinuteNum toRelativeMonthNum toRelativeQuarterNum
  toRelativeSecondNum toRelativeWeekNum toRelativeYearNum toSecond toStartOfDay
  toStartOfFifteenMinutes toStartOfFiveMinutes toStartOfHour toStartOfInterval toStartOfISOYear
  toStartOfMicrosecond toStartOfMillisecond toStartOfMinute toStartOfMonth toStartOfNanosecond
  toStartOfQuarter toStartOfSecond toStartOfTenMinutes toStartOfWeek toStartOfYear toString toTime
  toTime64 toTime64OrNull toTime64OrZero toTimeOrNull toTimeOrZero toTimeWithFixedDate toTimezone
  toTypeName toUInt128 toUInt128OrDefault toUInt128OrNull toUInt128OrZero toUInt16
  toUInt16OrDefault toUInt16OrNull toUInt16OrZero toUInt256 toUInt256OrDefault toUInt256OrNull
  toUInt256OrZero toUInt32 toUInt32OrDefault toUInt32OrNull toUInt32OrZero toUInt64
  toUInt64OrDefault toUInt64OrNull toUInt64OrZero toUInt8 toUInt8OrDefault toUInt8OrNull
  toUInt8OrZero toUnixTimestamp toUnixTimestamp64Micro toUnixTimestamp64Milli
  toUnixTimestamp64Nano toUnixTimestamp64Second toUTCTimestamp toUUID toUUIDOrDefault toUUIDOrNull
  toUUIDOrZero toValidUTF8 toWeek toYear toYearNumSinceEpoch toYearWeek toYYYYMM toYYYYMMDD
  toYYYYMMDDhhmmss transform translate translateUTF8 trimBoth trimLeft trimRight trunc
  tryBase32Decode tryBase58Decode tryBase64Decode tryBase64URLDecode tumble tumbleEnd tumbleStart
  tuple tupleConcat tupleDivide tupleDivideByNumber tupleElement tupleHammingDistance tupleIntDiv
  tupleIntDivByNumber tupleIntDivOrZero tupleIntDivOrZeroByNumber tupleMinus tupleModulo
  tupleModuloByNumber tupleMultiply tupleMultiplyByNumber tupleNames tupleNegate tuplePlus
  tuplePositiveModuloByNumber tupleToNameValuePairs unbin unhex upper upperUTF8 URLHash
  URLHierarchy URLPathHierarchy UTCTimestamp UUIDNumToString UUIDStringToNum UUIDv7ToDateTime
  version visibleWidth widthBucket wyHash64 xor xxh3 xxh3_128 xxHash32 xxHash64 xxHash64Spark
  yesterday YYYYMMDDhhmmssToDateTime YYYYMMDDhhmmssToDateTime64 YYYYMMDDToDate YYYYMMDDToDate32
`
const AGGREGATES = `
  analysisOfVariance any any_respect_nulls anyHeavy anyLast anyLast_respect_nulls approx_top_k
  approx_top_sum argAndMax argAndMin argMax argMin avg avgWeighted boundingRatio
  categoricalInformationValue contingency corr corrMatrix corrStable count covarPop covarPopMatrix
  covarPopStable covarSamp covarSampMatrix covarSampStable cramersV cramersVBiasCorrected deltaSum
  deltaSumTimestamp entropy exponentialMovingAverage groupArray groupArrayInsertAt
  groupArrayIntersect groupArrayLast groupArrayMovingAvg groupArrayMovingSum groupArraySample
  groupArraySorted groupBitAnd groupBitmap groupBitmapAnd groupBitmapOr groupBitmapXor groupBitOr
  groupBitXor groupConcat groupUniqArray histogram intervalLengthSum kolmogorovSmirnovTest kurtPop
  kurtSamp largestTriangleThreeBuckets mannWhitneyUTest max maxIntersections
  maxIntersectionsPosition maxMappedArrays meanZTest min minMappedArrays quantile quantileBFloat16
  quantileBFloat16Weighted quantileDD quantileDeterministic quantileExact quantileExactExclusive
  quantileExactHigh quantileExactInclusive quantileExactLow quantileExactWeighted
  quantileExactWeightedInterpolated quantileGK quantileInterpolatedWeighted
  quantilePrometheusHistogram quantiles quantilesBFloat16 quantilesBFloat16Weighted quantilesDD
  quantilesDeterministic quantilesExact quantilesExactExclusive quantilesExactHigh
  quantilesExactInclusive quantilesExactLow quantilesExactWeighted
  quantilesExactWeightedInterpolated quantilesGK quantilesInterpolatedWeighted
  quantilesPrometheusHistogram quantilesTDigest quantilesTDigestWeighted quantilesTiming
  quantilesTimingWeighted quantileTDigest quantileTDigestWeighted quantileTiming
  quantileTimingWeighted rankCorr retention sequenceCount sequenceMatch sequenceMatchEvents
  sequenceNextNode simpleLinearRegression singleValueOrNull skewPop skewSamp sparkbar stddevPop
  stddevPopStable stddevSamp stddevSampStable studentTTest studentTTestOneSample sum sumCount
  sumKahan sumMapFiltered sumMapFilteredWithOverflow sumMappedArrays sumMapWithOverflow
  sumWithOverflow theilsU timeSeriesChangesToGrid timeSeriesDeltaToGrid timeSeriesDerivToGrid
  timeSeriesGroupArray timeSeriesIncreaseToGrid timeSeriesInstantDeltaToGrid
  timeSeriesInstantRateToGrid timeSeriesLastTwoSamples timeSeriesPredictLinearToGrid
  timeSeriesRateToGrid timeSeriesResampleToGridWithStaleness timeSeriesResetsToGrid topK
  topKWeighted uniq uniqCombined uniqCombined64 uniqExact uniqHLL12 uniqUpTo varPop varPopStable
  varSamp varSampStable welchTTest windowFunnel
`
/** These stand before OVER only. */
const WINDOWS = `
  cume_dist denseRank lag lead lagInFrame leadInFrame nth_value ntile percentRank rank row_number
  exponentialTimeDecayedAvg exponentialTimeDecayedCount exponentialTimeDecayedMax
  exponentialTimeDecayedSum nonNegativeDerivative
`
/** Other names of them. */
const ALIASES = `
  anova=analysisOfVariance any_value=any any_value_respect_nulls=any_respect_nulls
  anyLastRespectNulls=anyLast_respect_nulls anyRespectNulls=any_respect_nulls
  anyValueRespectNulls=any_respect_nulls approx_top_count=approx_top_k array_agg=groupArray
  array_remove=arrayRemove array_to_string=arrayStringConcat arrayAUC=arrayROCAUC
  arrayPRAUC=arrayAUCPR BIT_AND=groupBitAnd BIT_OR=groupBitOr BIT_XOR=groupBitXor
  byteSlice=substring CARDINALITY=length caseWithoutExpr=multiIf caseWithoutExpression=multiIf
  ceiling=ceil CHAR_LENGTH=lengthUTF8 CHARACTER_LENGTH=lengthUTF8 concat_ws=concatWithSeparator
  COVAR_POP=covarPop COVAR_SAMP=covarSamp curdate=today current_date=today current_timestamp=now
  date_bin=toStartOfInterval DATE_DIFF=dateDiff date_diff=dateDiff DATE_FORMAT=formatDateTime
  DATE_TRUNC=dateTrunc DAY=toDayOfMonth DAYOFMONTH=toDayOfMonth DAYOFWEEK=toDayOfWeek
  DAYOFYEAR=toDayOfYear dense_rank=denseRank distanceCosine=cosineDistance distanceL1=L1Distance
  distanceL2=L2Distance distanceL2Squared=L2SquaredDistance distanceLinf=LinfDistance
  distanceLp=LpDistance extractAllGroups=extractAllGroupsVertical first_value=any
  first_value_respect_nulls=any_respect_nulls firstValueRespectNulls=any_respect_nulls
  flatten=arrayFlatten FORMAT_BYTES=formatReadableSize FROM_BASE64=base64Decode
  FROM_DAYS=fromDaysSinceYearZero FROM_UNIXTIME=fromUnixTimestamp
  from_utc_timestamp=fromUTCTimestamp group_concat=groupConcat hasAllToken=hasAllTokens
  hasAnyToken=hasAnyTokens HOUR=toHour INET6_ATON=IPv6StringToNum INET6_NTOA=IPv6NumToString
  INET_ATON=IPv4StringToNum INET_NTOA=IPv4NumToString instr=positionCaseInsensitive
  isASCII=isValidASCII JSON_ARRAY_LENGTH=JSONArrayLength jsonMergePatch=JSONMergePatch
  LAST_DAY=toLastDayOfMonth last_value=anyLast last_value_respect_nulls=anyLast_respect_nulls
  lastValueRespectNulls=anyLast_respect_nulls lcase=lower levenshteinDistance=editDistance
  levenshteinDistanceUTF8=editDistanceUTF8 ln=log localtimestamp=now lpad=leftPad ltrim=trimLeft
  lttb=largestTriangleThreeBuckets MAP_FROM_ARRAYS=mapFromArrays mapContains=mapContainsKey
  mapFromString=extractKeyValuePairs max_by=argMax median=quantile medianBFloat16=quantileBFloat16
  medianBFloat16Weighted=quantileBFloat16Weighted medianDD=quantileDD
  medianDeterministic=quantileDeterministic medianExact=quantileExact
  medianExactHigh=quantileExactHigh medianExactLow=quantileExactLow
  medianExactWeighted=quantileExactWeighted
  medianExactWeightedInterpolated=quantileExactWeightedInterpolated medianGK=quantileGK
  medianInterpolatedWeighted=quantileInterpolatedWeighted medianTDigest=quantileTDigest
  medianTDigestWeighted=quantileTDigestWeighted medianTiming=quantileTiming
  medianTimingWeighted=quantileTimingWeighted MICROSECOND=toMicrosecond mid=substring
  MILLISECOND=toMillisecond min_by=argMin MINUTE=toMinute mismatches=byteHammingDistance
  mod=modulo modOrNull=moduloOrNull MONTH=toMonth NANOSECOND=toNanosecond
  NATURAL_SORT_KEY=naturalSortKey normalizeL1=L1Normalize normalizeL2=L2Normalize
  normalizeLinf=LinfNormalize normalizeLp=LpNormalize normL1=L1Norm normL2=L2Norm
  normL2Squared=L2SquaredNorm normLinf=LinfNorm normLp=LpNorm OCTET_LENGTH=length
  percent_rank=percentRank pmod=positiveModulo pmodOrNull=positiveModuloOrNull
  positive_modulo=positiveModulo positive_modulo_or_null=positiveModuloOrNull power=pow
  QUARTER=toQuarter rand32=rand REGEXP_EXTRACT=regexpExtract regexp_instr=regexpPosition
  REGEXP_MATCHES=match REGEXP_REPLACE=replaceRegexpAll REGEXP_SUBSTR=regexpExtract
  regexpInstr=regexpPosition removeAccentsUTF8=removeDiacriticsUTF8 replace=replaceAll
  rpad=rightPad rtrim=trimRight scalarProduct=dotProduct SECOND=toSecond sparkBar=sparkbar
  splitByAlpha=alphaTokens sqid=sqidEncode STD=stddevPop STDDEV=stddevSamp STDDEV_POP=stddevPop
  STDDEV_SAMP=stddevSamp str_to_date=parseDateTimeOrNull str_to_map=extractKeyValuePairs
  string_agg=groupConcat substr=substring SUBSTRING_INDEX=substringIndex
  time_bucket=toStartOfInterval timeSeriesLastToGrid=timeSeriesResampleToGridWithStaleness
  TIMESTAMP_DIFF=dateDiff timestamp_diff=dateDiff timestampDiff=dateDiff timeZone=timezone
  timeZoneOf=timezoneOf timeZoneOffset=timezoneOffset TO_BASE64=base64Encode
  TO_DAYS=toDaysSinceYearZero TO_UNIXTIME=parseDateTime to_utc_timestamp=toUTCTimestamp
  toStartOfFiveMinute=toStartOfFiveMinutes toTimeZone=toTimezone trim=trimBoth truncate=trunc
  ucase=upper unnest=arrayJoin UTC_timestamp=UTCTimestamp VAR_POP=varPop VAR_SAMP=varSamp
  vectorDifference=tupleMinus vectorSum=tuplePlus visitParamExtractBool=simpleJSONExtractBool
  visitParamExtractFloat=simpleJSONExtractFloat visitParamExtractInt=simpleJSONExtractInt
  visitParamExtractRaw=simpleJSONExtractRaw visitParamExtractString=simpleJSONExtractString
  visitParamExtractUInt=simpleJSONExtractUInt visitParamHas=simpleJSONHas week=toWeek
  width_bucket=widthBucket yandexConsistentHash=kostikConsistentHash YEAR=toYear
  yearweek=toYearWeek
`
const COMBINATORS = (
  'If Array Map ForEach Distinct OrDefault OrNull Resample ArgMin ArgMax Tuple SimpleState State ' +
  'Merge'
).split(' ')
const COMBINATORS_MAX = 4

const words = (list: string): string[] => list.trim().split(/\s+/)
const byLower = (list: string): Map<string, string> =>
  new Map(words(list).map((name) => [name.toLowerCase(), name]))

const scalars = byLower(SCALARS)
const aggregates = byLower(AGGREGATES)
const windows = byLower(WINDOWS)
const aliases = new Map(
  words(ALIASES).map((pair) => {
    const [name, target] = pair.split('=') as [string, string]
    return [name.toLowerCase(), target.toLowerCase()]
  }),
)

export type FunctionKind = 'scalar' | 'aggregate' | 'window'
export type AllowedFunction = {
  /** As ClickHouse writes it. */
  readonly name: string
  readonly kind: FunctionKind
}

const known = new Map<string, AllowedFunction | undefined>()

/** The function that `written` names, in any case, if a query may call it. */
export function functionOf(written: string): AllowedFunction | undefined {
  if (known.has(written)) return known.get(written)
  const found = find(written.toLowerCase(), written)
  // What users write is unbounded; what is allowed is not.
  if (found && known.size < 10_000) known.set(written, found)
  return found
}

function find(lower: string, written: string): AllowedFunction | undefined {
  const key = aliases.get(lower) ?? lower
  const scalar = scalars.get(key)
  if (scalar) return { name: scalar, kind: 'scalar' }
  const window = windows.get(key)
  if (window) return { name: window, kind: 'window' }
  const aggregate = aggregates.get(key)
  if (aggregate) return { name: aggregate, kind: 'aggregate' }
  return combined(written, COMBINATORS_MAX)
}

/** An aggregate with combinators behind it: sumIf, quantileArrayIf, uniqMerge. */
function combined(written: string, left: number): AllowedFunction | undefined {
  if (left === 0) return undefined
  for (const combinator of COMBINATORS) {
    if (!written.toLowerCase().endsWith(combinator.toLowerCase())) continue
    const bare = written.slice(0, -combinator.length).toLowerCase()
    const key = aliases.get(bare) ?? bare
    const base = aggregates.get(key) ?? combined(bare, left - 1)?.name
    if (base) return { name: `${base}${combinator}`, kind: 'aggregate' }
  }
  return undefined
}

/** Every name a query may call, to suggest one from. */
export function functionNames(): string[] {
  return [...scalars.values(), ...aggregates.values(), ...windows.values(), ...aliases.keys()]
}

/**
 * Functions that a query may not call, whose name alone, as an alias handed to a function that
 * takes functions, the engine could take for a call: `arrayMap(file, ['/etc/passwd'])`.
 */
export const NAMES_REFUSED: ReadonlySet<string> = new Set(
  words(`
    file sleep sleepeachrow catboostevaluate joinget joingetornull evalmlmethod dictgetkeys
    getclienthttpheader addresstoline addresstolinewithinlines addresstosymbol showcertificate
    hostname fqdn fullhostname getmacro getserversetting getserverport getsetting
    structuretocapnprotoschema structuretoprotobufschema filesystemavailable filesystemcapacity
    filesystemunreserved logtrace chdb aigenerate aiclassify aiembed aiextract aitranslate
    formatrow
  `),
)
/** Table functions: those that only count. */
export const TABLE_FUNCTIONS: ReadonlyMap<string, string> = new Map([
  ['numbers', 'number'],
  ['numbers_mt', 'number'],
  ['zeros', 'zero'],
  ['generate_series', 'generate_series'],
  ['generateseries', 'generate_series'],
])
